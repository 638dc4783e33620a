// Sort the table by a column: numbers by their value, names as text, empty cells last.
(() => {
  const table = document.querySelector("table");
  const body = table.tBodies[0];
  const buttons = [...table.tHead.querySelectorAll("button")];
  const original = [...body.rows];

  const key = (row, column) => {
    const cell = row.cells[column];
    return "value" in cell.dataset ? Number(cell.dataset.value) : cell.textContent.trim();
  };

  const compare = (a, b) => {
    const numbers = [a, b].map((value) => typeof value === "number");
    if (numbers[0] !== numbers[1]) return 0;
    return numbers[0] ? a - b : a.localeCompare(b, "en", { numeric: true });
  };

  const isEmpty = (row, column) => {
    const cell = row.cells[column];
    return cell.matches("td:not(.text)") && !("value" in cell.dataset);
  };

  buttons.forEach((button) => {
    const column = Number(button.dataset.column);
    const head = button.closest("th");
    button.addEventListener("click", () => {
      const before = head.getAttribute("aria-sort");
      const after = { descending: "ascending", ascending: null }[before];
      const order = before === null ? "descending" : after;
      buttons.forEach((other) => other.closest("th").removeAttribute("aria-sort"));
      table.classList.toggle("sorted", Boolean(order));
      let rows = original;
      if (order) {
        head.setAttribute("aria-sort", order);
        const sign = order === "ascending" ? 1 : -1;
        const filled = original.filter((row) => !isEmpty(row, column));
        const empty = original.filter((row) => isEmpty(row, column));
        filled.sort((a, b) => sign * compare(key(a, column), key(b, column)));
        rows = [...filled, ...empty];
      }
      body.replaceChildren(...rows);
    });
  });
  document.body.dataset.ready = "true";
})();
