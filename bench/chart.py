"""Bars, as SVG: panels one below the other, each with its own scale from zero on."""
import html

WIDTH, LABELS, VALUES, BAR, GAP, GROUP_GAP, LINE = 860, 200, 110, 13, 2, 9, 18
COLORS = ["#9aa0a6", "#1f6feb", "#0b3d91", "#e3872d", "#b5483a", "#7a5ea8"]
STYLE = ('<style>text{font:12px system-ui,sans-serif;fill:#24292f}.title{font-weight:600;font-size:14px}'
         '.value{font-size:11px}</style>')


class Panel:
    """groups: [(label, {name: value})], of names in the order of the legend; show() tells a value."""

    def __init__(self, title, groups, show):
        self.title, self.groups, self.show = title, groups, show


def text(x, y, content, kind="", anchor="start"):
    return f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}" class="{kind}">{html.escape(content)}</text>'


def bar(y, length, color):
    return f'<rect x="{LABELS}" y="{y}" width="{max(length, 0.5):.1f}" height="{BAR}" fill="{color}"/>'


def draw_panel(panel, colors, y):
    parts = [text(0, y + LINE - 4, panel.title, "title")]
    y += LINE + GROUP_GAP
    largest = max(value for _, values in panel.groups for value in values.values())
    for label, values in panel.groups:
        height = len(values) * (BAR + GAP)
        parts.append(text(LABELS - 8, y + height / 2 + 3, label, anchor="end"))
        for name, value in values.items():
            length = value / largest * (WIDTH - LABELS - VALUES)
            parts += [bar(y, length, colors[name]), text(LABELS + length + 5, y + BAR - 3, panel.show(value), "value")]
            y += BAR + GAP
        y += GROUP_GAP
    return parts, y + LINE


def draw_legend(colors, y):
    parts, x = [], 0
    for name, color in colors.items():
        parts += [f'<rect x="{x}" y="{y}" width="{BAR}" height="{BAR}" fill="{color}"/>',
                  text(x + BAR + 5, y + BAR - 2, name)]
        x += BAR + 25 + 7 * len(name)
    return parts


def write(path, names, note, panels):
    """names: of all that have bars, in the order of the legend."""
    colors = {name: COLORS[i % len(COLORS)] for i, name in enumerate(names)}
    parts, y = draw_legend(colors, 0), BAR + 2 * LINE
    for panel in panels:
        drawn, y = draw_panel(panel, colors, y)
        parts += drawn
    parts.append(text(0, y, note, "value"))
    with open(path, "w") as file:
        file.write(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="-16 -16 {WIDTH + 32} {y + 32}" '
                   f'width="{WIDTH + 32}" height="{y + 32}">\n{STYLE}\n'
                   f'<rect x="-16" y="-16" width="{WIDTH + 32}" height="{y + 32}" fill="#fff"/>\n')
        file.write("\n".join(parts) + "\n</svg>\n")
