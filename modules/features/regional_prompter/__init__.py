"""Regional Prompter: words in a prompt that cut the picture into columns and rows."""
