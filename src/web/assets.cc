// The style sheet and the script. Both are files of their own for a browser, because the
// Content-Security-Policy allows nothing within a page.

#include "pages.h"

namespace mtastsd::web {

std::string_view style_sheet() {
  return R"css(:root {
  --ground: #f6f6f4; --card: #ffffff; --ink: #1b1f23; --quiet: #59636d; --line: #dfe1de;
  --accent: #0a6570; --on-accent: #ffffff;
  --good: #17693a; --good-ground: #e3f3e8; --bad: #a8201a; --bad-ground: #fce9e7;
  --note: #7a5200; --note-ground: #fbf0d9; --none-ground: #eceeec;
  --s1: #0a7d74; --s2: #3566b8; --s3: #c98a12; --s4: #a34a9e; --s5: #9aa3aa; --s6: #d3d7d9;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #121518; --card: #1a1e22; --ink: #e7eaec; --quiet: #9ba6af; --line: #2d343a;
    --accent: #63c7cf; --on-accent: #0c2427;
    --good: #79d397; --good-ground: #173022; --bad: #ff9b92; --bad-ground: #3b1d1b;
    --note: #f0c468; --note-ground: #342a11; --none-ground: #262c31;
    --s1: #35b3a6; --s2: #6f9be8; --s3: #e0aa3e; --s4: #cc7fc7; --s5: #6d7880; --s6: #454e55;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body {
  margin: 0; background: var(--ground); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans", sans-serif;
  font-variant-numeric: tabular-nums;
}
a { color: var(--accent); text-decoration-thickness: 1px; text-underline-offset: 3px; }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; border-radius: 4px; }
.skip { position: absolute; left: -999px; }
.skip:focus { left: 1rem; top: .5rem; background: var(--card); padding: .3rem .8rem; }

header { background: var(--card); border-bottom: 1px solid var(--line); }
header > div, main, footer { max-width: 66rem; margin: 0 auto; padding: 0 1.25rem; }
header > div { display: flex; flex-wrap: wrap; align-items: center; gap: 0 2rem; min-height: 3.5rem; }
.mark-of-us { color: var(--ink); font-weight: 680; font-size: 1.1rem; letter-spacing: -.01em; text-decoration: none; }
nav { display: flex; gap: 1.4rem; }
nav a { color: var(--quiet); text-decoration: none; padding: 1rem 0 .8rem; border-bottom: 3px solid transparent; }
nav a:hover { color: var(--ink); }
nav a[aria-current] { color: var(--ink); border-color: var(--accent); }

main { padding-top: 2rem; padding-bottom: 2rem; }
footer { color: var(--quiet); font-size: .85rem; padding-bottom: 2rem; }
h1 { font-size: 1.65rem; line-height: 1.2; font-weight: 660; letter-spacing: -.015em; margin: 0 0 1.2rem; overflow-wrap: anywhere; }
h2 { font-size: 1.05rem; font-weight: 640; margin: 0 0 .75rem; }
section { margin: 2.2rem 0 0; }
p { margin: .6rem 0; max-width: 44rem; }
.quiet { color: var(--quiet); }
.name, pre, code { font-family: ui-monospace, "SF Mono", "Cascadia Mono", "DejaVu Sans Mono", monospace; font-size: .92em; }
h1.name { font-size: 1.4rem; font-weight: 600; letter-spacing: 0; }
td.name, a.name, span.name { overflow-wrap: anywhere; }

.state { max-width: none; margin: 0; padding: .85rem 1.1rem; border-radius: 10px; background: var(--none-ground); }
.state.good { background: var(--good-ground); }
.state.bad { background: var(--bad-ground); }
.state.note { background: var(--note-ground); }
.state b { font-weight: 640; }
.state.good b { color: var(--good); }
.state.bad b { color: var(--bad); }
.state.note b { color: var(--note); }
.state ul { margin: .35rem 0; padding-left: 1.2rem; }

.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(13.5rem, 1fr)); gap: 1rem; margin: 1rem 0 0; }
.tile { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: .9rem 1.1rem 1rem; }
.tile dt { color: var(--quiet); font-size: .88rem; }
.tile dd { margin: 0; }
.tile b { display: block; font-size: 1.75rem; line-height: 1.3; font-weight: 620; letter-spacing: -.02em; }
.tile span { color: var(--quiet); font-size: .88rem; line-height: 1.4; display: block; }

.bar { display: block; width: 100%; height: 14px; border-radius: 7px; }
.legend { list-style: none; display: flex; flex-wrap: wrap; gap: .3rem 1.6rem; margin: .8rem 0 0; padding: 0; }
.legend li::before { content: ""; display: inline-block; width: .7rem; height: .7rem; border-radius: 3px; margin-right: .5rem; background: var(--c); }
.legend span { color: var(--quiet); }
.s1 { --c: var(--s1); } .s2 { --c: var(--s2); } .s3 { --c: var(--s3); }
.s4 { --c: var(--s4); } .s5 { --c: var(--s5); } .s6 { --c: var(--s6); }
rect { fill: var(--c); }

.wide { overflow-x: auto; background: var(--card); border: 1px solid var(--line); border-radius: 10px; }
table { border-collapse: collapse; width: 100%; font-size: .94rem; }
th { text-align: left; font-weight: 560; font-size: .84rem; color: var(--quiet); white-space: nowrap; }
th, td { padding: .55rem .9rem; vertical-align: top; }
tbody tr { border-top: 1px solid var(--line); }
.n { text-align: right; }
time { white-space: nowrap; }
.mark { display: inline-block; border-radius: 6px; padding: .05rem .5rem; font-size: .86rem; background: var(--none-ground); overflow-wrap: anywhere; }
.mark.good { background: var(--good-ground); color: var(--good); }
.mark.bad { background: var(--bad-ground); color: var(--bad); }
.mark.note { background: var(--note-ground); color: var(--note); }

.facts { display: grid; grid-template-columns: minmax(9rem, max-content) 1fr; gap: .35rem 1.6rem; margin: 0; }
.facts dt { color: var(--quiet); }
.facts dd { margin: 0; overflow-wrap: anywhere; }
pre { margin: 0; padding: .9rem 1.1rem; background: var(--card); border: 1px solid var(--line); border-radius: 10px; white-space: pre-wrap; overflow-wrap: anywhere; line-height: 1.6; }

form { display: flex; flex-wrap: wrap; align-items: end; gap: .8rem 1rem; margin: 0 0 1.3rem; }
label { display: grid; gap: .25rem; color: var(--quiet); font-size: .88rem; }
input, select, button, .button { font: inherit; font-size: 1rem; border-radius: 8px; padding: .45rem .7rem; }
input, select { height: 2.6rem; border: 1px solid var(--quiet); background: var(--card); color: var(--ink); min-width: 0; }
input { width: min(22rem, 100%); }
button, .button { border: 0; background: var(--accent); color: var(--on-accent); padding: .5rem 1.1rem; cursor: pointer; text-decoration: none; display: inline-block; }
.more { margin-top: 1rem; }

@media (max-width: 40rem) {
  table { min-width: 34rem; }
  main { padding-top: 1.3rem; }
  .facts { grid-template-columns: 1fr; gap: 0; }
  .facts dd { margin-bottom: .55rem; }
  .tiles { grid-template-columns: 1fr 1fr; gap: .7rem; }
  .tile { padding: .7rem .8rem; }
  .tile b { font-size: 1.4rem; }
  label, input, select { width: 100%; }
  nav { gap: 1.1rem; }
  nav a { padding-top: .3rem; }
  header > div { padding-top: .5rem; }
}
@media (max-width: 22rem) { .tiles { grid-template-columns: 1fr; } }
)css";
}

std::string_view icon() {
  return R"svg(<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="7" fill="#0a6570"/><path d="M6 10h20v13H6z M6 10l10 8 10-8" fill="none" stroke="#fff" stroke-width="2.4" stroke-linejoin="round"/></svg>
)svg";
}

// The overview renews itself while somebody looks at it.
std::string_view script() {
  return R"js("use strict";
if (document.getElementById("live")) {
  setInterval(async () => {
    if (document.hidden) return;
    try {
      const reply = await fetch(location.href, {cache: "no-store"});
      if (!reply.ok) return;
      const page = new DOMParser().parseFromString(await reply.text(), "text/html");
      const fresh = page.getElementById("live");
      const shown = document.getElementById("live");
      if (fresh && !shown.contains(document.activeElement)) shown.replaceWith(fresh);
    } catch (error) { /* The next attempt is in ten seconds. */ }
  }, 10000);
}
)js";
}

}  // namespace mtastsd::web
