"use strict";
(() => {
  const one = (selector) => document.querySelector(selector);
  const all = (selector, inside = document) => [...inside.querySelectorAll(selector)];
  const folds = all("details");
  const items = all("[data-item]");
  const groups = all("[data-group]");
  const followers = all("[data-follow]");
  const search = one("#search");
  const filters = all("[data-filter]");
  const shown = one("#shown");
  const nothing = one("#nothing");
  const words = new Map();

  // The text of an item is read once, when it is first looked for.
  const text = (item) => {
    if (!words.has(item)) words.set(item, item.textContent.toLowerCase());
    return words.get(item);
  };

  const update = () => {
    const wanted = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const pressed = filters.filter((one) => one.ariaPressed === "true").map((one) => one.dataset.filter);
    let count = 0;
    for (const item of items) {
      const kinds = item.dataset.kind.split(" ");
      const fits = (pressed.length === 0 || pressed.some((kind) => kinds.includes(kind)))
        && wanted.every((word) => text(item).includes(word));
      item.hidden = !fits;
      if (fits) count += 1;
    }
    for (const group of groups) group.hidden = all("[data-item]", group).every((item) => item.hidden);
    for (const row of followers) row.hidden = document.getElementById(row.dataset.follow).hidden;
    if (nothing) nothing.hidden = count > 0 || items.length === 0;
    const noun = shown.dataset.noun;
    shown.textContent = count === items.length ? `${count} ${noun}` : `${count} of ${items.length} ${noun} shown`;
  };

  const clear = () => {
    search.value = "";
    for (const filter of filters) filter.ariaPressed = "false";
    update();
  };

  if (search) {
    search.addEventListener("input", update);
    for (const filter of filters) {
      filter.addEventListener("click", () => {
        filter.ariaPressed = filter.ariaPressed === "true" ? "false" : "true";
        update();
      });
    }
    const fold = (open) => () => { for (const item of items) if ("open" in item && !item.hidden) item.open = open; };
    one("#unfold")?.addEventListener("click", fold(true));
    one("#fold")?.addEventListener("click", fold(false));
    document.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.key === "/" && document.activeElement !== search) {
        event.preventDefault();
        search.focus();
        search.select();
      } else if (event.key === "Escape") {
        clear();
      }
    });
    one(".toolbar").hidden = items.length === 0;
    update();
  }

  // A link to an object leads to it although it is folded, or filtered out.
  const follow = () => {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!target) return;
    if (search && target.closest("[hidden]")) clear();
    if ("open" in target) target.open = true;
    target.scrollIntoView();
  };
  addEventListener("hashchange", follow);
  if (location.hash.length > 1) follow();

  const theme = one("#theme");
  const dark = matchMedia("(prefers-color-scheme: dark)");
  // A page that is opened from a file, or in a sandbox, may have no memory.
  const remember = (name) => { try { localStorage.setItem("infra-theme", name); } catch { /* then not */ } };
  const remembered = () => { try { return localStorage.getItem("infra-theme"); } catch { return null; } };
  const current = () => document.documentElement.dataset.theme || (dark.matches ? "dark" : "light");
  const tell = () => { one("#theme-name").textContent = current() === "dark" ? "Light" : "Dark"; };
  const before = remembered();
  if (before === "light" || before === "dark") document.documentElement.dataset.theme = before;
  theme.addEventListener("click", () => {
    document.documentElement.dataset.theme = current() === "dark" ? "light" : "dark";
    remember(current());
    tell();
  });
  dark.addEventListener("change", tell);
  theme.hidden = false;
  tell();

  // Paper cannot be unfolded.
  let folded = [];
  addEventListener("beforeprint", () => {
    folded = folds.filter((details) => !details.open);
    for (const details of folded) details.open = true;
  });
  addEventListener("afterprint", () => { for (const details of folded) details.open = false; });
})();
