"""The look of a run's report: one style sheet, system fonts, light and dark."""

STYLE = """\
:root { color-scheme: light dark;
  --ground: #ffffff; --raised: #f5f6f8; --line: #d9dde3; --text: #1c2127; --faint: #5b6672;
  --link: #0b57a4; --ok: #1a7f4b; --bad: #b3261e; --idle: #6b5b00; }
@media (prefers-color-scheme: dark) { :root {
  --ground: #14171b; --raised: #1d2228; --line: #343b44; --text: #e6e9ed; --faint: #9aa5b1;
  --link: #7db7f5; --ok: #5fd39a; --bad: #ff8a80; --idle: #e0c65a; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--text);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
main { max-width: 1040px; margin: 0 auto; padding: 24px 16px 64px; }
h1 { font-size: 1.7rem; line-height: 1.25; margin: 0 0 4px; }
h2 { font-size: 1.25rem; margin: 40px 0 8px; }
h3 { font-size: 1rem; margin: 20px 0 6px; }
p { margin: 6px 0; }
h1, h2, h3, p, li, dd, td, th, figcaption { overflow-wrap: anywhere; }
a { color: var(--link); }
code, pre { font: 0.86em/1.5 ui-monospace, "SF Mono", Consolas, monospace; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; margin: 6px 0; }
.faint { color: var(--faint); font-size: 0.92rem; }
.status { font-weight: 600; white-space: nowrap; }
.status::before { content: ""; display: inline-block; width: 0.62em; height: 0.62em;
  border-radius: 50%; margin-right: 0.45em; background: currentColor; }
.ok { color: var(--ok); } .bad { color: var(--bad); } .idle { color: var(--idle); }
.scroll { overflow-x: auto; max-width: 100%; }
table { border-collapse: collapse; font-size: 0.92rem; }
.steps { width: 100%; }
.steps th, .steps td { overflow-wrap: normal; }
.steps td:first-child, .steps td:last-child, .steps th { white-space: nowrap; }
h2 .faint { font-weight: 400; }
th, td { text-align: left; vertical-align: top; padding: 5px 14px 5px 0;
  border-bottom: 1px solid var(--line); }
.preview td, .preview th { white-space: nowrap; overflow-wrap: normal; }
th { color: var(--faint); font-weight: 600; }
.step { border-top: 1px solid var(--line); margin-top: 28px; }
.step h2 { margin-top: 20px; }
.alert { border-left: 4px solid var(--bad); background: var(--raised); padding: 10px 14px;
  margin: 10px 0; }
.figures { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(260px, 100%), 1fr));
  gap: 16px; margin: 10px 0; align-items: start; }
figure { margin: 0; background: var(--raised); border: 1px solid var(--line); border-radius: 6px;
  overflow: hidden; }
figure img { display: block; width: 100%; height: auto; background: #ffffff; }
figcaption { padding: 8px 12px; font-size: 0.92rem; }
details { margin: 8px 0; }
summary { cursor: pointer; }
.page iframe { width: 100%; height: min(78vh, 720px); border: 1px solid var(--line);
  border-radius: 6px; background: #ffffff; }
dl { display: grid; grid-template-columns: max-content minmax(0, 1fr); gap: 2px 16px; margin: 6px 0;
  font-size: 0.92rem; }
dt { color: var(--faint); } dd { margin: 0; }
@media (max-width: 560px) {
  dl { grid-template-columns: minmax(0, 1fr); } dd { margin-bottom: 6px; }
  .steps tr:first-child { display: none; }
  .steps tr { display: block; border-bottom: 1px solid var(--line); padding: 6px 0; }
  .steps td { display: inline-block; border: 0; padding: 0 10px 0 0; }
  .steps td:nth-child(3) { display: block; } }
@media print { details > * { display: block; } }
"""
