"""Ratings: a user is a task, its inputs are items; what is known of items other users tell."""

from metaloop.domains.ratings.domain import ITEMS

__all__ = ["ITEMS"]
