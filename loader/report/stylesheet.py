"""The look of the report. Its checksum stands in the page's Content-Security-Policy: no other is applied."""

from __future__ import annotations

CSS = """
:root{color-scheme:light dark;--page:#fbfbf9;--card:#fff;--ink:#1d2430;--soft:#5a6472;--line:#dcdfe4;
--accent:#1d5fa8;--area:#1d5fa826;--pause:#8a6d0030;--mark:#8a3ffc;
--good:#1b7a3d;--look:#8f5a00;--stopped:#b3261e;--inserted:#2f7d4f;--duplicate:#3b76c4;--rejected:#c0392b;
--invalid:#b06a00;--in_doubt:#7a4bb5;--pending:#77808c}
@media screen and (prefers-color-scheme:dark){:root{
--page:#14171c;--card:#1c2128;--ink:#e6e9ee;--soft:#a3adba;
--line:#39414c;--accent:#79b4f5;--area:#79b4f52e;--pause:#e0b94030;--mark:#c9a2ff;
--good:#6fd08c;--look:#f0b65a;--stopped:#ff8f86;
--inserted:#3f9a63;--duplicate:#4f8edc;--rejected:#d65a4d;--invalid:#c98524;--in_doubt:#9a6fd6;--pending:#7d8794}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);font:16px/1.5 system-ui,-apple-system,"Segoe UI",
Roboto,"Helvetica Neue",Arial,sans-serif;overflow-wrap:anywhere}
main{max-width:1100px;margin:0 auto;padding:24px 16px 48px}
h1{font-size:1.5rem;line-height:1.25;margin:0 0 4px}
h2{font-size:1.1rem;margin:0 0 12px}
p{margin:0 0 8px}
code{font:0.92em/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace}
.sub{color:var(--soft);margin:0 0 16px}
section,.verdict{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:16px;
margin:0 0 16px}
.verdict{border-left-width:8px}
.verdict p{font-size:1.1rem}
.verdict .tone{font-size:.85rem;font-weight:700;letter-spacing:.04em;text-transform:uppercase;margin:0}
.verdict pre,.why{margin:8px 0 0;padding:8px 12px;background:var(--page);border:1px solid var(--line);
border-radius:6px;white-space:pre-wrap}
.good{border-left-color:var(--good)}.good .tone{color:var(--good)}
.look{border-left-color:var(--look)}.look .tone{color:var(--look)}
.stopped{border-left-color:var(--stopped)}.stopped .tone{color:var(--stopped)}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(130px,1fr));gap:12px;margin:0}
.tiles div{margin:0}
dt{color:var(--soft);font-size:.85rem}
dd{margin:0;font-variant-numeric:tabular-nums}
.tiles dd{font-size:1.2rem;font-weight:600}
.tiles small{display:block;color:var(--soft);font-size:.8rem;font-weight:400}
table{border-collapse:collapse;width:100%}
table+table,.key+table{margin-top:16px}
caption{text-align:left;color:var(--soft);font-size:.85rem;padding:0 0 6px}
th,td{text-align:left;vertical-align:top;padding:6px 12px 6px 0;border-top:1px solid var(--line)}
thead th{border-top:0;color:var(--soft);font-size:.85rem;font-weight:600}
tbody th{font-weight:600}
.runs tbody th{white-space:nowrap}
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
td ul{margin:4px 0 0;padding:0;list-style:none}
td li{padding:2px 0 2px 12px;border-left:3px solid var(--line);margin:4px 0}
.kinds tbody th{width:27%}.kinds small{color:var(--soft)}
.facts th{width:34%;font-weight:400;color:var(--soft)}
.swatch,.bar{border-radius:3px;vertical-align:-2px}
.swatch{margin-right:8px}
.bar{display:block;margin:0 0 12px}
figure{margin:0 0 16px}
figure:last-child{margin:0}
figcaption{font-weight:600;margin:0 0 4px}
figcaption span{font-weight:400;color:var(--soft)}
.patterns{position:absolute}
.chart{display:block;overflow:visible}
.chart text{font-size:12px;fill:var(--soft);stroke:var(--card);stroke-width:3px;paint-order:stroke}
.area{fill:var(--area)}
.line{fill:none;stroke:var(--accent);stroke-width:1.5}
.line,.grid,.axis,.mark{vector-effect:non-scaling-stroke}
.grid{stroke:var(--line);stroke-dasharray:2 4}
.axis{stroke:var(--soft)}
.mark{stroke:var(--mark);stroke-width:1.5;stroke-dasharray:6 3}
.pause{fill:var(--pause)}
.dot path{fill:var(--stopped)}
.key{color:var(--soft);font-size:.85rem;margin:0}
pattern rect{fill:currentColor}
pattern path,pattern circle{stroke:#fff;stroke-opacity:.75;fill:none;stroke-width:1.2}
pattern circle{fill:#fff;fill-opacity:.75;stroke:none}
.o-inserted{color:var(--inserted)}.o-duplicate{color:var(--duplicate)}.o-rejected{color:var(--rejected)}
.o-invalid{color:var(--invalid)}.o-in_doubt{color:var(--in_doubt)}.o-pending{color:var(--pending)}
a{color:var(--accent)}
ul.files{margin:0;padding:0;list-style:none}
ul.files li{padding:4px 0}
footer{color:var(--soft);font-size:.85rem}
@media (max-width:560px){main{padding:16px 8px 32px}section,.verdict{padding:12px}
.kinds thead,.kinds td.n br{display:none}.kinds td.n::before{content:"records: "}
.kinds td.n small{margin-left:8px}
.kinds tr{display:block;border-top:1px solid var(--line);padding:8px 0}
.kinds tbody th,.kinds td,.kinds td.n{display:block;
width:auto;border:0;padding:1px 0;text-align:left;white-space:normal}
.runs .wide{display:none}}
@media print{body{font-size:11pt;background:#fff}main{max-width:none;padding:0}
section,.verdict{border-color:#bbb;break-inside:auto}
figure,tr,.verdict,.tiles{break-inside:avoid}h2,caption{break-after:avoid}
svg,.verdict{print-color-adjust:exact;-webkit-print-color-adjust:exact}}
"""
