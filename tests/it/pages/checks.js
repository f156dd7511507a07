// What is asked of a page, as an expression: an object of functions.
({
  // Elements that a name could only have made, and attributes that run something.
  injected() {
    const made = document.querySelectorAll("img, image, iframe, object, embed, base, form, foreignObject, use, link:not([rel=icon])");
    const acting = [...document.querySelectorAll("*")].filter((e) => [...e.attributes].some((a) => /^on/i.test(a.name) || /^\s*javascript:/i.test(a.value)));
    return made.length + acting.length;
  },
  scripts: () => document.querySelectorAll("script").length,
  // What turns the direction of text or cannot be seen.
  unseen: () => /[\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/.test(document.documentElement.textContent),
  shown: (kind) => [...document.querySelectorAll(`[data-kind="${kind}"]`)].filter((e) => !e.closest("[hidden]")).length,
  rows: () => [...document.querySelectorAll("tbody tr")].filter((row) => !row.hidden).length,
  open: () => document.querySelectorAll("details.change[open]").length,
  focus: () => document.activeElement.id || document.activeElement.closest("details")?.id || document.activeElement.tagName,
  outlined: () => getComputedStyle(document.activeElement).outlineStyle !== "none",
  wide: () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
  ground: () => getComputedStyle(document.body).backgroundColor,
  unnamed: () => [...document.querySelectorAll("button, input, section, main, [role]")].filter((e) => {
    const name = e.getAttribute("aria-label") || document.getElementById(e.getAttribute("aria-labelledby"))?.textContent
      || (e.id && document.querySelector(`label[for="${e.id}"]`)?.textContent) || e.textContent;
    return !name.trim() && e.id !== "shown";
  }).length,
  dangling: () => [...document.querySelectorAll('a[href^="#"]')]
    .filter((a) => !document.getElementById(decodeURIComponent(a.getAttribute("href").slice(1)))).map((a) => a.getAttribute("href")),
  twice: () => { const ids = [...document.querySelectorAll("[id]")].map((e) => e.id); return ids.length - new Set(ids).size; },
  // The least contrast of any text that is seen, and whose it is (WCAG 2.2, 1.4.3: 4.5 to 1).
  contrast() {
    const parse = (text) => text.match(/[\d.]+/g).map(Number);
    const light = (rgb) => {
      const [r, g, b] = rgb.map((v) => { v /= 255; return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; });
      return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const ground = (e) => {
      for (; e; e = e.parentElement) {
        const [r, g, b, a = 1] = parse(getComputedStyle(e).backgroundColor);
        if (a === 1) return [r, g, b];
      }
      return [255, 255, 255];
    };
    let least = [99, ""];
    for (const e of document.querySelectorAll("body *")) {
      const own = [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
      if (!own || e.matches("script, .unseen, .skip") || !e.checkVisibility()) continue;
      const [a, b] = [light(parse(getComputedStyle(e).color).slice(0, 3)), light(ground(e))];
      const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
      if (ratio < least[0]) least = [ratio, e.outerHTML.slice(0, 120)];
    }
    return least;
  },
  // Of a drawing: texts that meet, or leave what is around them, and nodes that meet.
  crowded() {
    const meet = (a, b) => a.left < b.right - 0.5 && b.left < a.right - 0.5 && a.top < b.bottom - 0.5 && b.top < a.bottom - 0.5;
    const found = [];
    const boxes = (selector) => [...document.querySelectorAll(selector)].map((e) => [e.textContent, e.getBoundingClientRect()]);
    for (const selector of ["text", "g.node"]) {
      const all = boxes(selector);
      for (let i = 0; i < all.length; i += 1) {
        for (let j = i + 1; j < all.length; j += 1) if (meet(all[i][1], all[j][1])) found.push([all[i][0], all[j][0]]);
      }
    }
    for (const group of document.querySelectorAll("g.node, g.frame")) {
      const box = (group.querySelector(":scope > rect, :scope > path")).getBoundingClientRect();
      for (const text of group.querySelectorAll(":scope > text")) {
        const inner = text.getBoundingClientRect();
        if (inner.left < box.left || inner.right > box.right || inner.top < box.top - 0.5 || inner.bottom > box.bottom + 0.5) found.push([text.textContent, "leaves its box"]);
      }
    }
    return found;
  },
  nodes: (selector = "g.node") => document.querySelectorAll(selector).length,
})
