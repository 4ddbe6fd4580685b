"""From what a battery gauge says to energy: unit, sign, period, baseline, net and gross joules with intervals."""
