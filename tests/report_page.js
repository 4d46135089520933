// SPDX-License-Identifier: Apache-2.0
// What a page looks like, for tests/report_page.py: {text: [...], marks: [...], width, height}.
(() => {
  const colour = (text) => {
    const parts = text.match(/[\d.]+/g)?.map(Number);
    return !parts || parts[3] === 0 ? null : parts.slice(0, 3);
  };
  // What is painted behind an element.
  const behind = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const found = colour(getComputedStyle(e).backgroundColor);
      if (found) return found;
    }
    return null;
  };
  const boxOf = (rect) => [rect.left + scrollX, rect.top + scrollY, rect.right + scrollX,
    rect.bottom + scrollY];
  const text = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const parent = node.parentElement, style = getComputedStyle(parent);
    if (!node.data.trim() || parent.closest("title")) continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    const boxes = [...range.getClientRects()].filter((r) => r.width > 0).map(boxOf);
    if (!boxes.length) continue;
    text.push({words: node.data.trim(), boxes, size: parseFloat(style.fontSize),
      colour: colour(parent.closest("svg") ? style.fill : style.color), behind: behind(parent)});
  }
  const kinds = {bar: ".bar", dot: ".dot", interval: ".interval", point: ".point:not(.hollow)",
    hollow: ".hollow", roof: ".roof line", curve: ".curve line", key: ".key"};
  const marks = [];
  for (const [kind, selector] of Object.entries(kinds)) {
    for (const element of document.querySelectorAll(selector)) {
      const style = getComputedStyle(element);
      const paint = {roof: style.stroke, curve: style.stroke, hollow: style.stroke,
        point: style.fill}[kind] ?? style.backgroundColor;
      marks.push({kind, box: boxOf(element.getBoundingClientRect()), colour: colour(paint),
        behind: behind(element.parentElement),
        track: boxOf((element.closest(".track, svg") ?? element).getBoundingClientRect())});
    }
  }
  return {text, marks, width: document.documentElement.clientWidth,
    scroll: document.documentElement.scrollWidth,
    ground: colour(getComputedStyle(document.body).backgroundColor)};
})()
