"""Names that everything agrees on; importable without torch."""

TRAITS = ("openness", "conscientiousness", "extraversion", "agreeableness", "neuroticism")
"""Apparent Big Five in OCEAN order. In First Impressions V2 `neuroticism` is stored as emotional stability."""

MODALITIES = ("audio", "visual")
