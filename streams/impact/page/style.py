"""The page's looks. Colours are named by what they say, each once for light and once for dark."""

from __future__ import annotations

STYLE = """
:root{color-scheme:light dark;--ink:#17202b;--soft:#5a6675;--faint:#8b96a5;--paper:#f4f5f7;--card:#fff;--line:#e1e5ea;
--accent:#2f5bb7;--accent-soft:#dbe6f9;--helps:#0c7a52;--helps-soft:#d9f2e6;--harms:#b3261e;--harms-soft:#fbe1de;
--early:#8a5a00;--early-soft:#fcefcf;--none:#4a5568;--none-soft:#e6eaf0;
--shadow:0 1px 2px #1018280f,0 4px 16px #1018280a}
@media (prefers-color-scheme:dark){:root{--ink:#e7ebf1;--soft:#a2adbb;--faint:#768293;--paper:#0f1319;--card:#181e26;
--line:#2b3440;--accent:#86abf5;--accent-soft:#22324f;--helps:#5fd3a2;--helps-soft:#12352a;--harms:#ff9a90;
--harms-soft:#43201d;--early:#f2c063;--early-soft:#3b2e12;--none:#b3bdcb;--none-soft:#29323d;--shadow:none}}
@media print{:root{color-scheme:light;--ink:#000;--soft:#333;--faint:#666;--paper:#fff;--card:#fff;--line:#bbb;
--accent:#2f5bb7;--accent-soft:#dbe6f9;--helps:#0c7a52;--helps-soft:#d9f2e6;--harms:#b3261e;--harms-soft:#fbe1de;
--early:#8a5a00;--early-soft:#fcefcf;--none:#4a5568;--none-soft:#e6eaf0;--shadow:none}
body{font-size:11pt;print-color-adjust:exact;-webkit-print-color-adjust:exact}main{max-width:none!important;padding:0!important}
.card,figure,table,.tiles{break-inside:avoid}details{display:block}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.55 system-ui,-apple-system,"Segoe UI",sans-serif}
main{max-width:920px;margin:0 auto;padding:40px 20px 72px}
h1{font-size:32px;line-height:1.15;letter-spacing:-.02em;margin:0 0 8px}
h2{font-size:21px;line-height:1.25;letter-spacing:-.01em;margin:0 0 6px}
h3{font-size:15px;margin:26px 0 6px}p{margin:6px 0}code{font-size:.9em}
.lead{font-size:18px;color:var(--soft);margin:0 0 26px;max-width:44em}.soft{color:var(--soft)}.small{font-size:14px}
.card{background:var(--card);border:1px solid var(--line);border-radius:12px;box-shadow:var(--shadow);
padding:22px 26px;margin:18px 0}
.said{font-size:18px;line-height:1.45;margin:10px 0 4px;max-width:44em}
.badge{display:inline-block;font-size:13px;font-weight:650;border-radius:99px;padding:2px 11px;vertical-align:2px;
white-space:nowrap}
.helps,.safe{color:var(--helps);background:var(--helps-soft)}
.harms,.hurt,.broken_split{color:var(--harms);background:var(--harms-soft)}
.too_early,.open{color:var(--early);background:var(--early-soft)}
.no_effect_larger_than{color:var(--none);background:var(--none-soft)}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(138px,1fr));gap:12px;margin:18px 0 6px}
.tile{border:1px solid var(--line);border-radius:10px;padding:12px 14px}
.tile b{display:block;font-size:23px;line-height:1.25;letter-spacing:-.01em;font-variant-numeric:tabular-nums}
.tile span{display:block;font-size:13px;color:var(--soft)}
figure{margin:12px 0 4px}figcaption{color:var(--soft);font-size:14px;margin-top:6px;max-width:52em}
svg{display:block;max-width:100%;height:auto;font:13px system-ui,sans-serif;font-variant-numeric:tabular-nums}
svg text{fill:var(--ink)}svg .axis{fill:var(--soft);font-size:12px}svg .sub{fill:var(--soft);font-size:12px}
.grid{stroke:var(--line);fill:none}.zero{stroke:var(--soft);stroke-width:1.5;fill:none}
.p-helps{--c:var(--helps)}.p-harms,.p-broken_split{--c:var(--harms)}.p-too_early{--c:var(--early)}
.p-no_effect_larger_than{--c:var(--none)}.p-plain{--c:var(--accent)}
.range{stroke:var(--c);stroke-width:7;stroke-linecap:round;stroke-opacity:.32;fill:none}
.dot{fill:var(--c)}.bar{fill:var(--c)}.band{fill:var(--accent-soft)}.path{stroke:var(--accent);stroke-width:2;fill:none}
.goodside{fill:var(--helps-soft);fill-opacity:.45}
.aim{stroke:var(--early);stroke-width:1.5;stroke-dasharray:5 4;fill:none}
.wide{overflow-x:auto}
table{border-collapse:collapse;font-size:14px;width:100%;font-variant-numeric:tabular-nums}
th,td{text-align:right;padding:7px 0 7px 16px;border-bottom:1px solid var(--line);vertical-align:top;white-space:nowrap}
th:first-child,td:first-child{text-align:left;padding-left:0;white-space:normal}
th{color:var(--soft);font-weight:600;font-size:13px}tr:last-child td{border-bottom:0}
td.left,th.left{text-align:left}
dt{font-weight:650;margin-top:14px}dd{margin:2px 0 0;color:var(--soft);max-width:52em}
a{color:var(--accent)}footer{color:var(--faint);font-size:13px;margin-top:28px}
@media (max-width:700px){figure svg{min-width:620px}}
@media (max-width:560px){main{padding:24px 12px}.card{padding:18px 16px}h1{font-size:26px}}
"""
