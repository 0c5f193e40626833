// What reading needs beside the theme: tables that sort and download, code that opens at one click. Without it all is still there.
document.addEventListener("DOMContentLoaded", () => {
  const words = { all: "코드 모두 보기", none: "코드 모두 접기", csv: "csv 내려받기" };
  const button = (text, name) => Object.assign(document.createElement("button"), { type: "button", textContent: text, className: name });

  // The theme calls the entries of a bibliography a list of something else than list items.
  document.querySelectorAll(".citation-list[role=list]").forEach((list) => list.removeAttribute("role"));

  // What scrolls by itself can be scrolled by keyboard.
  const reachable = () => {
    for (const part of document.querySelectorAll(".bd-article figure, .bd-article .cell_output, .bd-article pre, .pst-scrollable-table-container, div.math, mjx-container"))
      if (part.scrollWidth > part.clientWidth && !part.hasAttribute("tabindex")) part.tabIndex = 0;
  };
  addEventListener("load", reachable);
  addEventListener("resize", reachable);
  window.MathJax?.startup?.promise?.then(reachable);

  const folds = [...document.querySelectorAll(".bd-article details.hide")];
  if (folds.length) {
    const all = button(words.all, "book-code");
    all.addEventListener("click", () => {
      const open = folds.some((fold) => !fold.open);
      folds.forEach((fold) => { fold.open = open; });
      all.textContent = open ? words.none : words.all;
    });
    folds[0].closest(".cell").before(all);
  }

  // A cell's number, its first one: "+1.5 [−0.3, +2.0]" is 1.5, "1,024" is 1024, "3/9" is 3.
  const value = (cell) => {
    const found = cell.textContent.trim().replace(/−/g, "-").replace(/,(?=\d{3})/g, "").match(/^[+-]?(\d+\.?\d*|∞)/);
    return found ? Number(found[0].replace("∞", "Infinity")) : NaN;
  };
  const order = (column) => (a, b) => {
    const [x, y] = [a.cells[column], b.cells[column]];
    const [p, q] = [value(x), value(y)];
    if (Number.isNaN(p) && Number.isNaN(q)) return x.textContent.localeCompare(y.textContent, "ko");
    return Number.isNaN(p) ? 1 : Number.isNaN(q) ? -1 : p - q;
  };
  const quoted = (cell) => `"${cell.textContent.trim().replace(/\s+/g, " ").replace(/"/g, '""')}"`;

  for (const table of document.querySelectorAll(".bd-article table.table")) {
    const [head, body] = [table.tHead, table.tBodies[0]];
    if (!head || head.rows.length !== 1 || !body || body.rows.length < 2) continue;
    const rows = [...body.rows];
    [...head.rows[0].cells].forEach((cell, column) => {
      const sort = button("", "book-sort");
      sort.append(...cell.childNodes);
      cell.append(sort);
      sort.addEventListener("click", () => {
        const next = { none: "ascending", ascending: "descending", descending: "none" }[cell.ariaSort || "none"];
        for (const other of head.rows[0].cells) other.removeAttribute("aria-sort");
        if (next !== "none") cell.ariaSort = next;
        const sorted = next === "none" ? rows : rows.slice().sort(order(column));
        body.append(...(next === "descending" ? sorted.reverse() : sorted));
      });
    });
    const save = button(words.csv, "book-csv");
    save.addEventListener("click", () => {
      const lines = [...table.rows].map((row) => [...row.cells].map(quoted).join(","));
      const url = URL.createObjectURL(new Blob(["\ufeff" + lines.join("\r\n") + "\r\n"], { type: "text/csv" }));
      Object.assign(document.createElement("a"), { href: url, download: `${table.id || "table"}.csv` }).click();
      URL.revokeObjectURL(url);
    });
    (table.closest(".pst-scrollable-table-container") || table).after(save);
  }
});
