"""One feature on one self-contained page: no script, no network, light and dark."""

import math
from functools import partial

import jinja2

from circuitwise.features.labels import readable
from circuitwise.features.profile import Context, Profile

_TEMPLATE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ profile.feature }}</title><style>
:root { color-scheme: light dark; --fire: 234, 88, 12;
  --ink: #1c1c1e; --soft: #6b6b70; --paper: #fff; --line: #e3e3e6; }
@media (prefers-color-scheme: dark) { :root {
  --ink: #e8e8ea; --soft: #9a9aa0; --paper: #17181a; --line: #303236; --fire: 251, 146, 60; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); margin: 2rem auto;
  max-width: 60rem; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin: 0; } h2 { font-size: 1rem; margin: 1.6rem 0 .4rem; } .soft { color: var(--soft); }
.token { background: var(--line); border-radius: .25rem; padding: .05rem .3rem; margin-right: .25rem;
  white-space: pre-wrap; display: inline-block; }
.bars { display: flex; align-items: flex-end; height: 6rem; gap: 2px; border-bottom: 1px solid var(--line); }
.bars i { flex: 1; background: rgb(var(--fire)); min-height: 1px; }
.ends { display: flex; justify-content: space-between; font-size: .85rem; }
.context { border-top: 1px solid var(--line); padding: .3rem 0; display: flex; gap: 1rem; }
.context b { font-weight: 400; min-width: 4.5rem; text-align: right; font-variant-numeric: tabular-nums; }
.context span { white-space: pre-wrap; } .context .peak { text-decoration: underline; text-underline-offset: .2em; }
</style></head><body>
<h1>{{ profile.feature }}</h1>
<p>{{ profile.label.text }}
{%- if profile.strongest %} <span class="soft">(covers {{ '%.0f' % (100 * profile.label.share) }} % of its
firings)</span>
{%- endif %}</p>
<p class="soft">{{ about }}</p>
{% for title, tokens in (("Promotes", profile.promoted), ("Suppresses", profile.suppressed)) %}
<h2>{{ title }}</h2><p>{% for token in tokens %}<span class="token"
{%- if token.value is not none %} title="{{ '%+.3f' % token.value }}"{% endif %}>{{ token.text | readable }}</span>
{% endfor %}</p>{% endfor %}
{% if profile.bars %}<h2>Activations</h2><div class="bars">
{% for bar in profile.bars %}<i style="height: {{ '%.1f' % (100 * bar.count / tallest) }}%"
title="{{ '%.4g' % bar.start }} to {{ '%.4g' % bar.stop }}: {{ bar.count }}"></i>
{% endfor %}</div><div class="ends soft"><span>{{ '%.3g' % profile.bars[0].start }}</span>
<span>activation, logarithmic</span><span>{{ '%.3g' % profile.bars[-1].stop }}</span></div>{% endif %}
{% for title, contexts in groups %}<h2>{{ title }}</h2>
{% for context in contexts %}<div class="context"><b class="soft">{{ '%.4g' % context.value }}</b><span>
{%- for token in context.tokens %}<span{% if loop.index0 == context.peak %} class="peak"{% endif %}
{%- if context.activations[loop.index0] > 0 %} style="background: rgba(var(--fire), {{
'%.2f' % strength(context, loop.index0) }})" title="{{ '%.4g' % context.activations[loop.index0] }}"{% endif %}>
{{- token.text | readable }}</span>{% endfor %}</span></div>
{% endfor %}{% endfor %}
</body></html>
"""


def feature_page(profile: Profile) -> str:
    """The page as HTML."""
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    environment.filters["readable"] = readable
    return environment.from_string(_TEMPLATE).render(
        profile=profile,
        about=about(profile),
        groups=groups_of(profile),
        tallest=max((bar.count for bar in profile.bars), default=1),
        strength=partial(_strength, profile),
    )


def about(profile: Profile) -> str:
    """How often and how strongly it fires, in one sentence."""
    if not profile.n_positions:
        return "No survey was given, so nothing is known of where it fires."
    if not profile.n_firings:
        return f"It never fires on {profile.n_positions:,} tokens of text."
    return (
        f"It fires on {profile.n_firings:,} of {profile.n_positions:,} tokens ({profile.frequency:.3%}), "
        f"on average with {profile.mean:.4g}, at most with {profile.maximum:.4g}."
    )


def groups_of(profile: Profile) -> list[tuple[str, tuple[Context, ...]]]:
    """The contexts with their headings; empty groups are left out."""
    names = ("Drawn, strongest fifth", "second fifth", "third fifth", "fourth fifth", "weakest fifth")
    groups = [("Strongest", profile.strongest), *zip(names, profile.quintiles, strict=False)]
    return [(name, contexts) for name, contexts in groups if contexts]


def _strength(profile: Profile, context: Context, place: int) -> float:
    """How strongly a token is shaded, between .1 and .9."""
    share = context.activations[place] / profile.maximum if profile.maximum > 0 else 0.0
    return 0.1 + 0.8 * math.sqrt(min(1.0, max(0.0, share)))
