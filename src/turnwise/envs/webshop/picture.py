"""A picture for every product: a drawn outline on a tinted ground, in the colour that was chosen.

Drawn from the product's shelf and ASIN alone; nothing a catalogue says is written into the SVG.
"""

from hashlib import sha256

from turnwise.envs.webshop.product import Product

COLOURS = {
    "black": "#2b2d33", "white": "#f4f4f1", "navy": "#27406e", "grey": "#8b9099", "red": "#c8453c", "green": "#4f8a5b",
    "pink": "#e08aa6", "purple": "#7d5ba6", "beige": "#d8c3a0", "teal": "#2f8f8b", "burgundy": "#7b2b3f",
    "yellow": "#e3b93c", "orange": "#e0813d", "brown": "#7d5a41", "walnut": "#6b4a36", "espresso": "#45332b",
    "oak": "#c9a26b", "cognac": "#a65f34", "silver": "#b9bec6", "gold": "#d1a94a", "rose": "#dca096",
    "bronze": "#a1753f", "copper": "#bb6d46",
}  # fmt: skip
_GROUNDS = ("#eef1ea", "#f3ece4", "#e9eef3", "#f2eaf0", "#eaf1f0", "#f4f0e2")
_TINTS = ("#4f8a5b", "#c8453c", "#27406e", "#7d5ba6", "#2f8f8b", "#e0813d", "#a65f34", "#7b2b3f")
_SHAPES = {
    "shoe": "M20 98c-1-14 2-28 9-32 10 7 21 7 30-1 10 15 25 21 44 23 12 1 19 7 19 15v9H26c-4 0-6-6-6-14z",
    "boot": "M44 26h30v44c6 8 22 10 32 16 6 4 8 12 8 20H44z",
    "shirt": "M46 30l-26 14 10 24 12-6v48h56V62l12 6 10-24-26-14c-6 10-42 10-48 0z",
    "dress": "M54 24l6 14c6 4 14 4 20 0l6-14 8 24-10 14 20 50H36l20-50-10-14z",
    "leggings": "M44 24h52l8 90H80l-8-56h-4l-8 56H36z",
    "bottle": "M60 22h20v16c10 4 16 12 16 24v46c0 6-4 10-10 10H54c-6 0-10-4-10-10V62c0-12 6-20 16-24z",
    "jar": "M46 30h48v16H46zM42 52h56v52c0 6-4 10-10 10H52c-6 0-10-4-10-10z",
    "clipper": "M58 22h24l4 18v62c0 8-6 14-16 14s-16-6-16-14V40z",
    "buds": "M50 40a16 16 0 1 1 6 30v34a6 6 0 0 1-12 0V62c0-10 2-18 6-22z"
    "M96 40a16 16 0 1 0-6 30v34a6 6 0 0 0 12 0V62c0-10-2-18-6-22z",
    "cable": "M38 24h18v22h-4v18c0 20 36 12 36 32v6h4v18H74v-18h4v-6c0-10-36-4-36-32V46h-4z",
    "camera": "M36 40h68v34H36zM64 74h12v18H64zM48 92h44v14H48z",
    "speaker": "M44 22h52c4 0 6 2 6 6v84c0 4-2 6-6 6H44c-4 0-6-2-6-6V28c0-4 2-6 6-6zm26 44a20 20 0 1 0 .1 0z",
    "tablet": "M36 26h68c4 0 6 2 6 6v76c0 4-2 6-6 6H36c-4 0-6-2-6-6V32c0-4 2-6 6-6zm2 10v66h64V36z",
    "watch": "M56 20h28l4 26v48l-4 26H56l-4-26V46zm0 28v44h28V48z",
    "sofa": "M30 60c0-12 4-18 12-18h56c8 0 12 6 12 18v6h8v34h-10v10h-8v-10H40v10h-8v-10H22V66h8z",
    "shelf": "M40 22h60v96h-8v-6H48v6h-8zm8 8v20h44V30zm0 28v20h44V58zm0 28v18h44V86z",
    "chair": "M46 22h48v44h6v10h-6v42h-8V80H54v38h-8V76h-6V66h6z",
    "table": "M22 52h96v12h-10v48h-8V64H40v48h-8V64H22z",
    "curtain": "M26 26h88v8H26zM32 38h30c0 30-6 56-14 78H32zM78 38h30v78H92c-8-22-14-48-14-78z",
    "rug": "M24 46h92v50H24zM30 52v38h80V52z",
    "bed": "M26 44h10v30h68V56c0-6-4-10-10-10H44v24H36V44zM26 78h88v32h-8v-10H34v10h-8z",
    "bag": "M42 28h56l-4 10 6 70c0 4-2 8-6 8H46c-4 0-6-4-6-8l6-70z",
    "cup": "M34 46h62v10h8c8 0 12 6 12 14s-6 18-20 20c-4 12-12 18-24 18h-14c-16 0-24-12-24-34z",
    "box": "M34 46l36-18 36 18v46l-36 20-36-20z",
}  # fmt: skip
_SHELVES = {
    "women's athletic shoes": "shoe", "women's boots": "boot", "men's loafers & slip-ons": "shoe",
    "men's work & safety footwear": "boot", "men's casual button-down shirts": "shirt",
    "women's activewear": "leggings", "men's fashion hoodies & sweatshirts": "shirt", "women's dresses": "dress",
    "women's coats & jackets": "shirt",
    "face moisturizers": "jar", "hair shampoos": "bottle", "face makeup": "bottle", "body lotions": "bottle",
    "refillable containers": "bottle", "hair cutting tools": "clipper", "lip care products": "clipper",
    "headphones": "buds", "cell phone chargers": "cable", "surveillance cameras": "camera",
    "portable speakers": "speaker", "tablet computers": "tablet", "hdmi cables": "cable",
    "wearable technology": "watch", "sofas and couches": "sofa", "bookcases": "shelf",
    "kitchen & dining room chairs": "chair", "coffee tables": "table", "window treatments": "curtain",
    "area rugs": "rug", "bedding": "bed", "nutrition bars": "bag", "tea samplers": "cup", "chips & crisps": "bag",
    "coffee": "cup", "party mix": "bag",
}  # fmt: skip


def picture(product: Product, chosen: str = "") -> str:
    """Return an SVG of a product.

    Args:
        product: What to draw.
        chosen: A colour that was chosen; another word, or none, leaves the product's own tint.
    """
    digest = sha256(product.asin.encode()).digest()
    named = next((code for word, code in COLOURS.items() if word in chosen), None)
    fill = named or _TINTS[digest[0] % len(_TINTS)]
    ground = _GROUNDS[digest[1] % len(_GROUNDS)]
    shape = _SHAPES[_SHELVES.get(product.query, "box")]
    return (
        '<svg class="picture" viewBox="0 0 140 140" preserveAspectRatio="xMidYMid slice" aria-hidden="true">'
        f'<rect width="140" height="140" fill="{ground}"/>'
        '<ellipse cx="70" cy="117" rx="48" ry="4" fill="#000" opacity=".10"/>'
        f'<path d="{shape}" fill="{fill}" fill-rule="evenodd" stroke="#1d1f24" stroke-opacity=".28" stroke-width="1.5"'
        ' stroke-linejoin="round"/></svg>'
    )
