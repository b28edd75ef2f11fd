"""Texts: sentences, titles, messages, in any language that is written in letters."""
