"""Operations of Extras on each finished picture."""
