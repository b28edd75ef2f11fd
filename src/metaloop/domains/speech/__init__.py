"""Speech: short recordings of words in any language, mono int16 samples at 16 kHz."""
