"""Everything that touches verl: its platform, rollout engine, agent loop, trainer and launch.

This file imports nothing: verl's workers import these modules one by one while verl itself is half loaded.
"""
