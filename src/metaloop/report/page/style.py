"""The style sheet of the page: calm type, two colour schemes, one column from 320 to 1600 pixels.

Colours come in pairs that have a contrast of at least 4.5 to 1 on their ground (WCAG AA); a test
in a browser measures it. Nothing is loaded: fonts are those of the reader's system.
"""

STYLE = """
:root {
  color-scheme: light dark;
  --ground: #fbfaf7; --raised: #ffffff; --ink: #21252b; --quiet: #5c6570; --rule: #e3dfd6;
  --accent: #0a6b5d; --accent-soft: #dcefe9; --alarm: #9a3412; --alarm-soft: #fbeadf;
  --dot: #8fa3b3; --plus: #14612f; --plus-ground: #e3f3e6; --minus: #9b1c1c;
  --minus-ground: #fbe7e5; --word: #7a3e9d; --literal: #9a4a06;
  --serif: ui-serif, "Iowan Old Style", "Palatino Linotype", Palatino, Georgia, "DejaVu Serif",
    serif;
  --sans: system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, "Liberation Sans",
    sans-serif;
  --mono: ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", "Liberation Mono",
    monospace;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #15181b; --raised: #1c2024; --ink: #e7e4de; --quiet: #a3abb3; --rule: #32383e;
    --accent: #62cbb5; --accent-soft: #17352f; --alarm: #f3aa80; --alarm-soft: #3a2418;
    --dot: #6d8090; --plus: #8fd6a0; --plus-ground: #17301d; --minus: #f2a29b;
    --minus-ground: #3a1c1b; --word: #cfa5ea; --literal: #e6b173;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body {
  margin: 0 auto; max-width: 76rem; padding: clamp(1.25rem, 4vw, 4rem) clamp(1rem, 4vw, 3rem);
  background: var(--ground); color: var(--ink); font: 1rem/1.6 var(--sans);
  overflow-wrap: anywhere;
}
h1, h2, h3 { font-family: var(--serif); font-weight: 600; line-height: 1.15; margin: 0; }
h1 { font-size: clamp(2.25rem, 7vw, 4rem); letter-spacing: -0.015em; margin: 0.4rem 0 1.25rem; }
h2 { font-size: 1.6rem; margin: 4.5rem 0 0.5rem; }
h3 { font-size: 1.1rem; margin: 2rem 0 0.4rem; }
p { margin: 0 0 0.75rem; max-width: 44rem; }
a { color: var(--accent); text-underline-offset: 0.2em; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
.quiet, figcaption, .eyebrow { color: var(--quiet); }
.eyebrow { margin: 0; font-size: 0.95rem; }
.lead { font-size: 1.15rem; line-height: 1.55; }
h1 .unit { display: block; font: 400 1.15rem/1.5 var(--sans); letter-spacing: 0;
  color: var(--quiet); margin-top: 0.4rem; }
.alarm {
  border-left: 4px solid var(--alarm); background: var(--alarm-soft); color: var(--alarm);
  padding: 0.75rem 1rem; border-radius: 0 6px 6px 0; font-weight: 600;
}
nav ul { list-style: none; display: flex; flex-wrap: wrap; gap: 0.2rem 1.25rem; margin: 2rem 0 0;
  padding: 0.75rem 0 0; border-top: 1px solid var(--rule); font-size: 0.95rem; }
figure { margin: 1.25rem 0 0; }
figure svg { display: block; width: 100%; height: auto; }
figcaption { font-size: 0.9rem; margin-top: 0.6rem; max-width: 44rem; }
svg.narrow { display: none; }
@media (max-width: 47.99rem) {
  svg.narrow { display: block; max-width: 32rem; } figure svg.wide { display: none; }
}
.scroll { overflow-x: auto; margin-top: 1rem; border-radius: 4px; }
table { border-collapse: collapse; width: 100%; font-size: 0.93rem; line-height: 1.45;
  font-variant-numeric: tabular-nums; }
th, td { text-align: left; vertical-align: top; padding: 0.5rem 1.1rem 0.5rem 0;
  border-bottom: 1px solid var(--rule); overflow-wrap: normal; }
th:last-child, td:last-child { padding-right: 0.5rem; }
thead th { color: var(--quiet); font-weight: 500; white-space: nowrap;
  border-bottom: 1px solid var(--quiet); }
tbody th { font-weight: 600; min-width: 11rem; }
.number { text-align: right; white-space: nowrap; }
.time { white-space: nowrap; }
.long { min-width: 13rem; overflow-wrap: anywhere; }
tr.best > * { background: var(--accent-soft); }
tr.best > :first-child { box-shadow: inset 3px 0 var(--accent); padding-left: 0.75rem; }
tr > :first-child { padding-left: 0.75rem; }
td svg.strip { display: block; width: 7rem; height: 0.9rem; margin: 0.25rem 0 0 auto; }
.sub { display: block; font-weight: 400; font-size: 0.88rem; color: var(--quiet); }
tr.best .sub { color: var(--ink); }
pre code { font-size: 1em; }
code, pre, .mono { font-family: var(--mono); font-size: 0.87em; }
pre { background: var(--raised); border: 1px solid var(--rule); border-radius: 6px;
  margin: 0.75rem 0; padding: 1rem 1.1rem; overflow-x: auto; line-height: 1.55;
  tab-size: 4; overflow-wrap: normal; }
.keyword { color: var(--word); } .literal { color: var(--literal); }
.comment { color: var(--quiet); font-style: italic; } .defined { color: var(--accent); }
.diff span { display: block; min-width: max-content; margin: 0 -1.1rem; padding: 0 1.1rem; }
.diff .plus { color: var(--plus); background: var(--plus-ground); }
.diff .minus { color: var(--minus); background: var(--minus-ground); }
.diff .place { color: var(--quiet); }
details { margin-top: 0.75rem; }
summary { cursor: pointer; color: var(--accent); width: fit-content; }
dl { display: grid; grid-template-columns: minmax(7rem, max-content) 1fr; gap: 0.3rem 1.5rem;
  margin: 1rem 0 0; }
dt { color: var(--quiet); } dd { margin: 0; }
@media (max-width: 30rem) {
  dl { grid-template-columns: 1fr; gap: 0; } dd { margin: 0 0 0.6rem; }
}
.gallery { display: grid; gap: 1.5rem; margin-top: 1rem;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 20rem), 1fr)); }
.gallery figure { margin: 0; }
.gallery .wide { grid-column: 1 / -1; }
.gallery .wide img { image-rendering: auto; max-width: 60rem; }
.gallery img { display: block; width: 100%; height: auto; image-rendering: pixelated;
  border: 1px solid var(--rule); border-radius: 6px; background: #fff; }
footer { margin-top: 5rem; padding-top: 1rem; border-top: 1px solid var(--rule);
  color: var(--quiet); font-size: 0.9rem; }
svg text { font-family: var(--sans); font-size: 13px; fill: var(--ink);
  font-variant-numeric: tabular-nums; }
svg .small { font-size: 12px; fill: var(--quiet); } svg .strong { font-weight: 600; }
svg .words { font-size: 12px; fill: var(--quiet); font-style: italic; }
svg .accent { fill: var(--accent); }
.grid { stroke: var(--rule); stroke-width: 1; } .chance { stroke: var(--alarm); stroke-width: 1;
  stroke-dasharray: 2 4; } .level { stroke: var(--quiet); stroke-width: 1.25;
  stroke-dasharray: 6 4; }
.band { fill: var(--accent); fill-opacity: 0.14; }
.climb { fill: none; stroke: var(--accent); stroke-width: 2.25; stroke-linejoin: round; }
.trial { fill: var(--dot); fill-opacity: 0.75; } .plain { fill: none; stroke: var(--dot);
  stroke-width: 1.5; } .leader { fill: var(--accent); }
.final { fill: var(--raised); stroke: var(--accent); stroke-width: 2.5; }
.whisker { stroke: var(--accent); stroke-width: 2; } .whisker.reach { stroke-width: 0.75; }
.branch { fill: none; stroke: var(--dot); stroke-width: 1.5; }
.trunk { fill: none; stroke: var(--accent); stroke-width: 3; }
.other { fill: none; stroke: var(--dot); stroke-width: 1.25; stroke-dasharray: 3 3; }
.node { fill: var(--dot); } .node-path { fill: var(--accent); }
.node-none { fill: var(--ground); stroke: var(--dot); stroke-width: 1.75; }
.node-failed { stroke: var(--alarm); stroke-width: 2; fill: none; }
.node-more { fill: var(--ground); stroke: var(--dot); stroke-width: 1.5; stroke-dasharray: 2 2; }
.halo { fill: none; stroke: var(--accent); stroke-width: 1.5; }
.strip .mark { stroke: var(--alarm); stroke-width: 1.25; }
.strip .track { stroke: var(--rule); stroke-width: 1; }
.strip .interval { stroke: var(--quiet); stroke-width: 2; } .strip .point { fill: var(--ink); }
@media print {
  body { max-width: none; padding: 0; font-size: 10pt; } nav { display: none; }
  h2 { margin-top: 2rem; } tr, figure, pre { break-inside: avoid; } .scroll { overflow: visible; }
}
@media (prefers-reduced-motion: no-preference) { html { scroll-behavior: smooth; } }
"""
