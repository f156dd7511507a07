"""Answers whose lists come in another order: AWS promises none."""

import json
import random
import xml.etree.ElementTree as tree


def shuffled(data, seed):
    """The same answer, every list of it in an order that the seed makes."""
    order = random.Random(seed)
    text = data.decode()
    if text.lstrip().startswith("<"):
        root = tree.fromstring(text)
        if root.tag.startswith("{"):
            tree.register_namespace("", root.tag[1:].partition("}")[0])
        for element in root.iter():
            children = list(element)
            # A list, and not a structure: all its elements have one name.
            if len(children) > 1 and len({child.tag for child in children}) == 1:
                order.shuffle(children)
                element[:] = children
        return tree.tostring(root)
    try:
        return json.dumps(of_json(json.loads(text), order)).encode()
    except ValueError:
        return data


def of_json(value, order):
    if isinstance(value, dict):
        return {key: of_json(one, order) for key, one in value.items()}
    if isinstance(value, list):
        items = [of_json(one, order) for one in value]
        order.shuffle(items)
        return items
    return value
