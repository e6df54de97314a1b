"""Capitals: ``The capital of France is`` -> `` Paris`` and never the capital of another country.

Four countries whose names have equally many tokens, as have their capitals, play a round robin: each meets the three
others once, in another template each time, so every fact has three distractors, and they are capitals themselves.
Countries are left out whose capital has their name (Mexico, Tunisia), that take an article, or whose capital is
disputed or shared.
"""

from collections import defaultdict
from random import Random

from circuitwise.prompts import Encode
from circuitwise.suites.block import Block, Families, fits, rows, shuffled

CAPITALS = """
Afghanistan: Kabul | Albania: Tirana | Angola: Luanda | Argentina: Buenos Aires | Armenia: Yerevan |
Australia: Canberra | Austria: Vienna | Azerbaijan: Baku | Bahrain: Manama | Bangladesh: Dhaka | Belarus: Minsk |
Belgium: Brussels | Bosnia: Sarajevo | Bulgaria: Sofia | Cambodia: Phnom Penh | Canada: Ottawa | 
Chile: Santiago | China: Beijing | Colombia: Bogota | Croatia: Zagreb | Cuba: Havana | Cyprus: Nicosia |
Denmark: Copenhagen | Ecuador: Quito | Egypt: Cairo | Estonia: Tallinn | Ethiopia: Addis Ababa | Fiji: Suva |
Finland: Helsinki | France: Paris | Germany: Berlin | Ghana: Accra | Greece: Athens |
Haiti: Port-au-Prince | Hungary: Budapest | Iceland: Reykjavik | India: New Delhi | Indonesia: Jakarta |
Iran: Tehran | Iraq: Baghdad | Ireland: Dublin | Italy: Rome | Jamaica: Kingston | Japan: Tokyo |
Kenya: Nairobi | Latvia: Riga | Lebanon: Beirut | Libya: Tripoli | Lithuania: Vilnius | Malaysia: Kuala Lumpur |
Malta: Valletta | Mongolia: Ulaanbaatar | Morocco: Rabat | Mozambique: Maputo | Namibia: Windhoek | Nepal: Kathmandu |
Nicaragua: Managua | Niger: Niamey | Nigeria: Abuja | Norway: Oslo | Oman: Muscat | Pakistan: Islamabad |
Paraguay: Asuncion | Peru: Lima | Poland: Warsaw | Portugal: Lisbon | Qatar: Doha | Romania: Bucharest |
Russia: Moscow | Rwanda: Kigali | Senegal: Dakar | Serbia: Belgrade | Slovakia: Bratislava | Slovenia: Ljubljana |
Somalia: Mogadishu | Spain: Madrid | Sudan: Khartoum | Sweden: Stockholm | Switzerland: Bern | Syria: Damascus |
Thailand: Bangkok | Turkey: Ankara | Uganda: Kampala | Ukraine: Kyiv | Uruguay: Montevideo | Venezuela: Caracas |
Vietnam: Hanoi | Yemen: Sanaa | Zambia: Lusaka | Zimbabwe: Harare
"""
"""Countries with their capitals."""
TEMPLATES = (
    "The capital of {country} is",
    "The capital city of {country} is",
    "The name of the capital of {country} is",
    "Question: What is the capital of {country}? Answer:",
)
"""The forms of the question."""
ROUNDS = (((0, 1), (2, 3)), ((0, 2), (1, 3)), ((0, 3), (1, 2)))
"""Who meets whom among four, so that each meets every other once."""


def capitals(encode: Encode, random: Random) -> Families:
    """One family for four countries: three rounds in three templates, then the fourth template."""
    facts = shuffled(rows(CAPITALS), random)
    families: Families = []
    for four in _fours(facts, encode):
        templates = shuffled(TEMPLATES, random)
        rounds = (*ROUNDS, ROUNDS[0])
        blocks = [
            _block(four[one], four[other], template)
            for template, pairs in zip(templates, rounds, strict=True)
            for one, other in pairs
        ]
        if all(fits(block, encode) for block in blocks):
            families.append(blocks)
    return random.sample(families, len(families))


def _fours(facts: list[str], encode: Encode) -> list[list[str]]:
    """Facts in fours, with equally many tokens in the countries and in the capitals of each four."""
    alike = defaultdict[tuple[int, int], list[str]](list)
    for fact in facts:
        country, capital = _read(fact)
        alike[len(encode(f"of {country}")), len(encode(f"is {capital}"))].append(fact)
    return [same[at : at + 4] for same in alike.values() for at in range(0, len(same) - 3, 4)]


def _read(fact: str) -> tuple[str, str]:
    country, _, capital = fact.partition(": ")
    return country, capital


def _block(one: str, other: str, template: str) -> Block:
    (country, capital), (other_country, other_capital) = _read(one), _read(other)
    return Block(
        prompts=(template.format(country=country), template.format(country=other_country)),
        answers=(f" {capital}", f" {other_capital}"),
        groups=(country, other_country),
        template=template,
        tags=({"distractor": other_country}, {"distractor": country}),
    )
