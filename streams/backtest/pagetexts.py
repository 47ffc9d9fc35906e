"""The page's style, and how to read its numbers."""

from __future__ import annotations

STYLE = """
:root{--ink:#1c2430;--soft:#5c6675;--paper:#f5f6f8;--card:#fff;--line:#dfe3e8;--bar:#3b6fb6;--band:#cfdff3;--mark:#c2410c;
--good:#166534;--weak:#9a3412}
@media (prefers-color-scheme:dark){:root{--ink:#e6eaf0;--soft:#9aa5b4;--paper:#12161c;--card:#1b2129;--line:#323b47;
--bar:#6ea3ea;--band:#2b4263;--mark:#fb923c;--good:#86efac;--weak:#fdba74}}
body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.55 system-ui,sans-serif}
main{max-width:860px;margin:0 auto;padding:32px 20px 64px}
h1{font-size:30px;line-height:1.2;margin:0 0 12px}h2{font-size:19px;margin:0 0 4px}h3{font-size:16px;margin:18px 0 6px}
.lead{font-size:17px}
.card{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:18px 22px;margin:16px 0}
.card p{margin:6px 0}.id{color:var(--soft);font-size:13px}.good{color:var(--good);font-weight:600}
.weak{color:var(--weak);font-weight:600}.open{color:var(--soft);font-weight:600}
.mode{font-size:12px;border:1px solid var(--line);border-radius:4px;padding:1px 6px;color:var(--soft);font-weight:400}
code{font-size:.9em}figure{margin:10px 0 0}figcaption{color:var(--soft);font-size:14px;margin-top:8px}
svg{max-width:100%;height:auto;font:13px system-ui,sans-serif}
svg text{fill:var(--ink)}svg .axis{fill:var(--soft);font-size:12px}
.bar{fill:var(--bar)}.band{fill:var(--band)}
.dot{fill:var(--bar);fill-opacity:.55}.cell{fill:var(--bar);stroke:var(--line)}
svg .on{fill:var(--card)}.grid{stroke:var(--line)}.mark{stroke:var(--mark);stroke-width:2.5}
.whisker{stroke:var(--ink);fill:none;stroke-width:1.2}
.wide{overflow-x:auto}
table{border-collapse:collapse;font-size:14px;width:100%}th,td{text-align:left;padding:5px 10px 5px 0;
border-bottom:1px solid
var(--line);vertical-align:top}
th{color:var(--soft);font-weight:600}dt{font-weight:600;margin-top:10px}
dd{margin:0}.wide td{white-space:nowrap}.wide td:last-child{white-space:normal;min-width:12em}
"""

GLOSSARY = """<section class=card><h2>How to read these numbers</h2><dl>
<dt>Visit (session)</dt><dd>Events of one visitor without a pause of {timeout}.</dd>
<dt>Fired, alarm</dt><dd>The rule would have offered its suggestion, or would have noted that it could (control group,
shadow,
draft). Repeated firings in one visit are one alarm, from the first of them, until the outcome comes.</dd>
<dt>Right (precision)</dt><dd>Of all alarms, the share that the outcome followed within {window}. What happened at the
same
moment, or before, does not count: that would be hindsight.</dd>
<dt>Seen in time (recall)</dt><dd>Of all outcomes of this kind in the recording, the share that had an alarm before.
One alarm is
credited with one outcome at most, and one outcome goes to one alarm, the latest before it.</dd>
<dt>Lead time</dt><dd>From the alarm to the outcome. Half of all cases lie between the two quartiles. An outcome that
consists in
somebody <em>not</em> doing something (an abandoned checkout) happens when the visit has ended, {timeout} after its
last event:
its lead time contains that pause.</dd>
<dt>Base rate and lift</dt><dd>The base rate is the share of all visits with the outcome. Lift says how many times
likelier it was in
the visits in which the rule fired (counting only what came after it fired). 1 is blind guessing.</dd>
<dt>Seen in time, in money</dt><dd>What the outcomes seen in time cost (or were worth): the most that this rule could
have saved had
every suggestion worked. No suggestion always works.</dd>
<dt>Held back (suppressed)</dt><dd>The rule's condition held, but its limits, a higher rule, or a missing text stopped
it.</dd>
</dl></section>"""
