import { colours, figureRules } from './palette.ts'

/** The page in one style sheet: readable at 900 px and on paper, light and dark. */
export const pageStyle = `:root{color-scheme:light dark;${colours.light};--ground:#f4f6f5;--good:#0f7a57;--good-bg:#e2f2ec;--bad:#99201b;--bad-bg:#fde4e2;--warn:#7a3d00;--warn-bg:#fdecd2}
@media(prefers-color-scheme:dark){:root{${colours.dark};--ground:#101513;--good:#4cc79b;--good-bg:#16352b;--bad:#ffb3ad;--bad-bg:#4a1d1a;--warn:#ffcf94;--warn-bg:#43300f}}
*{box-sizing:border-box}
body{margin:0;background:var(--ground);color:var(--ink);font:15px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans",sans-serif}
main{max-width:1000px;margin:0 auto;padding:28px 20px 60px}
h1{font-size:1.5rem;letter-spacing:-.015em;margin:0;line-height:1.25}
h2{font-size:1.12rem;margin:40px 0 4px;letter-spacing:-.01em}
h3{font-size:.95rem;margin:22px 0 2px}
p{margin:4px 0 10px;max-width:78ch}
a{color:var(--s1)}
.soft,.caption{color:var(--soft);font-size:.88rem}
.sub{color:var(--soft);margin:4px 0 0}
.badges{display:flex;flex-wrap:wrap;gap:6px;margin:12px 0 0}
.badge{padding:1px 11px;border-radius:99px;font-size:.8rem;font-weight:600;background:var(--warn-bg);color:var(--warn)}
.card{background:var(--paper);border:1px solid var(--line);border-radius:12px;padding:16px 18px;margin:14px 0}
.verdict{border-left:6px solid var(--bad);padding:18px 22px}
.verdict.pass{border-left-color:var(--good)}
.verdict h2{margin:0 0 2px;font-size:1.35rem}
.halves{display:grid;grid-template-columns:1fr 1fr;gap:14px;margin-top:14px}
.half{border-top:1px solid var(--line);padding-top:10px}
.half b{display:block;font-size:1.05rem;font-variant-numeric:tabular-nums}
.chip{display:inline-block;padding:0 9px;border-radius:99px;font-size:.78rem;font-weight:650;white-space:nowrap}
.chip.pass{background:var(--good-bg);color:var(--good)}
.chip.miss{background:var(--bad-bg);color:var(--bad)}
.chip.none{background:var(--ground);color:var(--soft)}
.top{display:grid;grid-template-columns:minmax(0,1fr) 240px;gap:16px;align-items:start}
.top .card{margin:0}
.top .label{padding:0;border:0;background:none}
.top .label svg{display:block;width:100%;height:auto}
.tiles{display:grid;grid-template-columns:repeat(2,1fr);gap:1px;background:var(--line);border:1px solid var(--line);border-radius:12px;overflow:hidden}
.tile{background:var(--paper);padding:11px 16px}
.tile dt{color:var(--soft);font-size:.83rem}
.tile dd{margin:0;font-size:1.3rem;font-weight:650;letter-spacing:-.015em;font-variant-numeric:tabular-nums}
.tile small{display:block;font-size:.8rem;font-weight:400;color:var(--soft);letter-spacing:0}
dl{margin:0}
.wide{overflow-x:auto;background:var(--paper);border:1px solid var(--line);border-radius:12px;margin:10px 0}
table{border-collapse:collapse;width:100%;font-size:.83rem;font-variant-numeric:tabular-nums}
th,td{text-align:right;padding:5px 8px;border-top:1px solid var(--line);vertical-align:top}
thead th{border-top:0;color:var(--soft);font-weight:600;font-size:.8rem;vertical-align:bottom}
th:first-child,td:first-child,.words td,.words th{text-align:left}
tr.main td{background:var(--good-bg)}
tr.reference td{font-weight:600}
td .soft{display:block;font-size:.78rem}
table:not(.words):not(.manifest) td{white-space:nowrap}
table:not(.words):not(.manifest) td:first-child{white-space:normal;min-width:9.5em}
td:first-child .soft{white-space:normal}
figure{margin:14px 0;background:var(--paper);border:1px solid var(--line);border-radius:12px;padding:10px 12px 8px;break-inside:avoid}
figure svg.figure{display:block;width:100%;height:auto}
figcaption{color:var(--soft);font-size:.85rem;padding:4px 12px 6px;max-width:92ch}
details{margin:8px 0}
summary{cursor:pointer;color:var(--soft)}
code,pre{font:.82rem/1.5 ui-monospace,"SF Mono",Menlo,Consolas,monospace}
.manifest td:first-child{color:var(--soft);white-space:nowrap;width:32%}
.manifest td{text-align:left;overflow-wrap:anywhere}
@media(max-width:700px){.top,.halves{grid-template-columns:1fr}.top .label{max-width:260px}}
@media print{body{background:none;font-size:11pt}main{max-width:none;padding:0}.card,figure,.wide,.tiles{break-inside:avoid}details>*{display:block}.wide{overflow:visible}table{font-size:8.5pt}th,td{padding:3px 5px}}
${figureRules}`
