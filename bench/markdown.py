"""What the programs beside this one print, and the figures in it."""
import statistics


def print_row(cells):
    print("| " + " | ".join(cells) + " |")


def print_head(texts, numbers):
    """Columns of text, and after them columns of numbers."""
    print_row([*texts, *numbers])
    print_row(["---"] * len(texts) + ["--:"] * len(numbers))


def ratio(values, others):
    """Median of the rounds' own ratios, which what happens to the machine meanwhile leaves alone; and quartiles."""
    ratios = [value / other for value, other in zip(values, others)]
    if len(ratios) == 1:
        return ratios[0], ratios[0], ratios[0]
    low, middle, high = statistics.quantiles(ratios, n=4, method="inclusive")
    return middle, low, high


def format_ratio(found):
    middle, low, high = found
    return f"{middle:.2f} ({low:.2f} to {high:.2f})"


def verdict(holds):
    return "holds" if holds else "does not hold"
