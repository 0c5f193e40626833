// The page "협상을 만져 보기": task gradients in the plane that one drags, the directions of four weightings, the values of coalitions.
// The numbers are those of mtlstudy.nash and mtlstudy.nash.coalition; tests/site holds the two together.
const Bargaining = (() => {
  const dot = (x, y) => x[0] * y[0] + x[1] * y[1];
  const norm = (x) => Math.hypot(x[0], x[1]);
  const sum = (J, a) => [0, 1].map((i) => J.reduce((total, g, t) => total + a[t] * g[i], 0));

  // The point of least norm of the convex hull of the gradients, as weights that add up to 1 (Désidéri 2012). In the plane it is a
  // corner, on an edge, or 0.
  const mgda = (J) => {
    const K = J.length;
    let best = null;
    const take = (a) => { const length = norm(sum(J, a)); if (!best || length < best.length - 1e-15) best = { a, length }; };
    for (let s = 0; s < K; s++) {
      take(J.map((_, t) => +(t === s)));
      for (let r = 0; r < s; r++) {
        const d = [J[s][0] - J[r][0], J[s][1] - J[r][1]];
        const x = Math.min(1, Math.max(0, -dot(J[r], d) / (dot(d, d) || 1)));
        take(J.map((_, t) => (t === s ? x : t === r ? 1 - x : 0)));
      }
    }
    if (K === 3) {  // 0 inside the triangle
      const area = (p, q) => p[0] * q[1] - p[1] * q[0];
      const a = [area(J[1], J[2]), area(J[2], J[0]), area(J[0], J[1])];
      const total = a[0] + a[1] + a[2];
      if (Math.abs(total) > 1e-12 && a.every((x) => x / total >= 0)) take(a.map((x) => x / total));
    }
    return best.a;
  };

  // x with A x = b, by elimination; A is positive definite and small.
  const solved = (A, b) => {
    const n = b.length, M = A.map((row, i) => [...row, b[i]]);
    for (let i = 0; i < n; i++)
      for (let r = i + 1; r < n; r++) {
        const f = M[r][i] / M[i][i];
        for (let c = i; c <= n; c++) M[r][c] -= f * M[i][c];
      }
    const x = Array(n).fill(0);
    for (let i = n - 1; i >= 0; i--) x[i] = (M[i][n] - x.reduce((t, v, c) => t + (c > i ? M[i][c] * v : 0), 0)) / M[i][i];
    return x;
  };

  // b > 0 with C b = 1 / b: damped Newton steps (diag(1) + B C B) s = 1 − B C b, b ← b ∗ (1 + s / (1 + |s|)). null: no solution.
  const game = (C) => {
    const n = C.length;
    let b = Array(n).fill(1);
    for (let step = 0; step < 500; step++) {
      const F = b.map((x, i) => 1 - x * C[i].reduce((t, c, j) => t + c * b[j], 0));
      const worst = Math.max(...F.map(Math.abs));
      if (worst < 1e-11) return b;
      if (Math.max(...b) > 1e8) return null;
      const s = solved(C.map((row, i) => row.map((c, j) => b[i] * c * b[j] + (i === j))), F);
      const decrement = Math.sqrt(s.reduce((t, x) => t + x * x, 0) + s.reduce((t, x, i) => t + x * b[i] * s.reduce((u, y, j) => u + C[i][j] * b[j] * y, 0), 0));
      const length = decrement > 0.25 ? 1 / (1 + decrement) : 1;
      b = b.map((x, i) => x * (1 + length * s[i]));
    }
    return null;
  };

  const cosines = (J) => J.map((g, i) => J.map((h, j) => (i === j ? 1 : dot(g, h) / (norm(g) * norm(h)))));
  // Nash weights a with M a = 1 / a; null where the gradients are Pareto-stationary.
  const nash = (J) => game(cosines(J))?.map((b, t) => b / norm(J[t])) ?? null;
  const equal = (J) => J.map(() => 1 / J.length);
  const equalNorm = (J) => J.map((g) => 1 / norm(g));

  // The value of a coalition: −Σ log b, −∞ where its members cannot all gain.
  const value = (J, members) => {
    const b = game(cosines(members.map((t) => J[t])));
    return b ? -b.reduce((t, x) => t + Math.log(x), 0) : -Infinity;
  };
  const partitions = { 2: [[[0], [1]], [[0, 1]]], 3: [[[0], [1], [2]], [[0, 1], [2]], [[0, 2], [1]], [[0], [1, 2]], [[0, 1, 2]]] };
  const best = (J) => partitions[J.length]
    .map((parts) => ({ parts, value: parts.reduce((t, members) => t + value(J, members), 0) }))
    .reduce((a, b) => (b.value > a.value + 1e-9 ? b : a));
  return { mgda, nash, equal, equalNorm, value, best, sum, norm, dot, partitions };
})();

document.addEventListener("DOMContentLoaded", () => {
  const root = document.getElementById("bargaining");
  if (!root) return;
  const B = Bargaining, SCALE = 70, START = [[1.8, 0.3], [-0.5, 1.2], [0.6, -0.9]];
  const TINTS = ["#0072b2", "#d55e00", "#009e73"];
  const METHODS = [["균등", B.equal, "#767676", "2 4"], ["동일 노름", B.equalNorm, "#a05a2c", "8 4"], ["내쉬", B.nash, "#000", ""], ["MGDA", B.mgda, "#cc79a7", "10 3 2 3"]];
  let J = START.slice(0, 2).map((g) => [...g]);
  const svg = (tag, attributes, text = "") => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.textContent = text;
    return made;
  };
  const shown = (x) => (x === null || Number.isNaN(x) ? "–" : Number.isFinite(x) ? (Object.is(Math.round(x * 1000), -0) ? 0 : x).toFixed(3).replace("-", "−") : x < 0 ? "−∞" : "∞");
  const table = (id, caption, heads) => {
    root.insertAdjacentHTML("beforeend", `<div class="pst-scrollable-table-container" tabindex="0"><table class="table" id="${id}"><caption>${caption}</caption>
      <thead><tr>${heads.map((one, i) => `<th${i ? ' class="text-right"' : ""}>${one}</th>`).join("")}</tr></thead><tbody></tbody></table></div>`);
    return root.lastElementChild.querySelector("tbody");
  };
  const plane = root.querySelector("svg");
  const kinds = table("bargaining-methods", "방법마다의 가중치와, 그 방향에서 과제마다 얻는 것(기울기와 방향의 코사인)", ["방법", "가중치 a", "과제마다 얻는 것"]);
  const sets = table("bargaining-coalitions", "분할마다 연합의 값과 그 합", ["분할", "연합의 값 v", "합"]);
  const at = (g) => [g[0] * SCALE, -g[1] * SCALE];
  const arrow = (g, tint, dash, width, label, away = 14) => {
    const [x, y] = at(g), long = Math.hypot(x, y) || 1, [u, v] = [x / long, y / long];
    const group = svg("g", { stroke: tint, fill: tint });
    group.append(svg("line", { x1: 0, y1: 0, x2: x, y2: y, "stroke-width": width, "stroke-dasharray": dash }));
    group.append(svg("path", { d: `M${x} ${y}L${x - 10 * u - 5 * v} ${y - 10 * v + 5 * u}L${x - 10 * u + 5 * v} ${y - 10 * v - 5 * u}Z`, stroke: "none" }));
    group.append(svg("text", { x: x + away * u, y: y + away * v + 5, "text-anchor": u < -0.3 ? "end" : u > 0.3 ? "start" : "middle", stroke: "none", "font-size": 15 }, label));
    return group;
  };
  const cells = (row) => { const tr = document.createElement("tr"); row.forEach((text, i) => { const td = document.createElement("td"); td.textContent = text; if (i) td.className = "text-right"; tr.append(td); }); return tr; };

  const draw = () => {
    plane.querySelectorAll(".moves").forEach((one) => one.remove());
    const moves = svg("g", { class: "moves" }), handles = plane.querySelector(".handles");
    const rows = METHODS.map(([label, weigh, tint, dash], order) => {
      const a = weigh(J), d = a && B.sum(J, a), length = d ? B.norm(d) : 0;
      if (length > 1e-6) moves.append(arrow(d.map((x) => (1.5 * x) / length), tint, dash, 3, label, 14 + 22 * order));
      const gains = J.map((g) => (length > 1e-6 ? B.dot(g, d) / (length * B.norm(g)) : null));
      return cells([label, a ? a.map(shown).join(", ") : "해 없음", gains.map(shown).join(", ")]);
    });
    J.forEach((g, t) => moves.append(arrow(g, TINTS[t], "", 2, `g${"₁₂₃"[t]}`)));
    handles.before(moves);
    kinds.replaceChildren(...rows);
    const winner = B.best(J), written = (parts) => parts.map((members) => `{${members.map((t) => t + 1).join(", ")}}`).join(" ");
    sets.replaceChildren(...B.partitions[J.length].map((parts) => {
      const total = parts.reduce((t, members) => t + B.value(J, members), 0);
      const row = cells([written(parts) + (parts === winner.parts ? " ← 고른 분할" : ""), parts.map((members) => shown(B.value(J, members))).join(", "), shown(total)]);
      if (parts === winner.parts) row.style.fontWeight = 600;
      return row;
    }));
    [...handles.children].forEach((handle, t) => {
      const [x, y] = at(J[t]);
      handle.setAttribute("cx", x); handle.setAttribute("cy", y);
      handle.setAttribute("aria-valuenow", Math.round((Math.atan2(J[t][1], J[t][0]) * 180) / Math.PI));
      handle.setAttribute("aria-valuetext", `(${shown(J[t][0])}, ${shown(J[t][1])})`);
    });
  };
  const put = (t, x, y) => {
    const limited = [x, y].map((v) => Math.max(-2.8, Math.min(2.8, v)));
    if (B.norm(limited) > 0.05) J[t] = limited;
    draw();
  };
  const begin = (K) => {
    J = START.slice(0, K).map((g) => [...g]);
    const handles = plane.querySelector(".handles");
    handles.replaceChildren(...J.map((_, t) => {
      const handle = svg("circle", { r: 13, fill: TINTS[t], "fill-opacity": 0.25, stroke: TINTS[t], tabindex: 0, role: "slider", "aria-label": `기울기 g${t + 1}의 방향 (화살표 키로 옮김)`, "aria-valuemin": -180, "aria-valuemax": 180 });
      handle.addEventListener("pointerdown", (event) => { handle.setPointerCapture(event.pointerId); event.preventDefault(); handle.focus(); });
      handle.addEventListener("pointermove", (event) => {
        if (!handle.hasPointerCapture(event.pointerId)) return;
        const p = new DOMPoint(event.clientX, event.clientY).matrixTransform(plane.getScreenCTM().inverse());
        put(t, p.x / SCALE, -p.y / SCALE);
      });
      handle.addEventListener("keydown", (event) => {
        const by = { ArrowLeft: [-0.1, 0], ArrowRight: [0.1, 0], ArrowUp: [0, 0.1], ArrowDown: [0, -0.1] }[event.key];
        if (!by) return;
        event.preventDefault();
        put(t, J[t][0] + by[0], J[t][1] + by[1]);
      });
      return handle;
    }));
    draw();
  };
  root.hidden = false;
  root.querySelectorAll("input[name=tasks]").forEach((one) => one.addEventListener("change", () => begin(Number(one.value))));
  begin(2);
});
