"""Whether what is drawn has the shape that is configured: draws a simulated run without a broker, compares, reports.

`drawing` makes the sample, `people`, `hours`, `purchases` and `mishaps` compare it with the configuration, `judging`
has the statistical tests, `report` puts them together, `plots` draws them. Imported only by the command `describe`:
scipy and matplotlib take a second to load, which the traffic must not pay.
"""
