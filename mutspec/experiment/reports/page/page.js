
"use strict";
/* Without this script the tables are plain: buttons and the filter are made here, so that none is there in vain. */

/* A cell as a number, where all that it says is one; else null. */
function number(text) {
  const plain = text.replaceAll(",", "").replace(/%$/, "");
  if (plain === "inf" || plain === "-inf") return plain === "inf" ? Infinity : -Infinity;
  return plain === "" || Number.isNaN(Number(plain)) ? null : Number(plain);
}

/* Numbers before texts before cells that say nothing, whichever way numbers and texts go. */
function compare(one, other, way) {
  const kind = (key) => (key.number !== null ? 0 : key.text === "" || key.text === "–" || key.text === "nan" ? 2 : 1);
  if (kind(one) !== kind(other)) return kind(one) - kind(other);
  if (kind(one) === 0) return one.number < other.number ? -way : one.number > other.number ? way : 0;
  return way * one.text.localeCompare(other.text, "en", { numeric: true });
}

function makeSortable(table, rows) {
  const headers = [...table.tHead.rows[0].cells];
  headers.forEach((header, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...header.childNodes);
    header.append(button);
    header.ariaSort = "none";
    button.addEventListener("click", () => {
      const way = header.ariaSort === "ascending" ? -1 : 1;
      headers.forEach((each) => { each.ariaSort = "none"; });
      header.ariaSort = way === 1 ? "ascending" : "descending";
      const keyed = rows.map((row) => {
        const text = row.cells[column].textContent.trim();
        return { row, text, number: number(text) };
      });
      keyed.sort((one, other) => compare(one, other, way));
      table.tBodies[0].append(...keyed.map((each) => each.row));
    });
  });
}

function makeFilter(table, rows) {
  const form = document.createElement("div");
  const label = document.createElement("label");
  const input = document.createElement("input");
  const count = document.createElement("output");
  form.className = "filter";
  form.role = "search";
  label.textContent = "Filter";
  input.type = "search";
  input.id = "filter-" + (table.id || "rows");
  input.placeholder = "words that a row holds";
  label.htmlFor = count.htmlFor = input.id;
  const texts = rows.map((row) => Array.from(row.cells, (cell) => cell.textContent).join(" ").toLowerCase());
  const filter = () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    let left = 0;
    rows.forEach((row, index) => {
      row.hidden = !words.every((word) => texts[index].includes(word));
      left += row.hidden ? 0 : 1;
    });
    const of = rows.length.toLocaleString("en");
    count.textContent = words.length ? `${left.toLocaleString("en")} of ${of} rows` : `${of} rows`;
  };
  let waiting = 0;
  input.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(filter, 80);
  });
  form.append(label, input, count);
  table.parentElement.before(form);
  filter();
}

for (const table of document.querySelectorAll("table.sortable")) {
  const rows = [...table.tBodies[0].rows];
  if (rows.length < 2) continue;
  makeSortable(table, rows);
  makeFilter(table, rows);
}
/* On paper nothing can be opened. */
addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((each) => { each.open = true; }));
