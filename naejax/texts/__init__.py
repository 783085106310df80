"""Sum-of-Parts on texts: a fitted model, and what its groups are worth."""

from naejax.texts.evaluate import evaluate_texts
from naejax.texts.fitted import TextSOP, explain_texts, score_texts

__all__ = ["TextSOP", "evaluate_texts", "explain_texts", "score_texts"]
