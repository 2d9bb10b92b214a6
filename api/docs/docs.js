// Shows the OpenAPI document. It builds elements only, never HTML from text, so a strict CSP holds.
"use strict";

const methods = ["get", "post", "put", "patch", "delete"];

fetch("/api/v1/openapi.json")
  .then((answer) => {
    if (!answer.ok) throw new Error(`HTTP ${answer.status}`);
    return answer.json();
  })
  .then(show)
  .catch((error) => {
    document.getElementById("main").replaceChildren(
      el("p", { class: "note" }, `The OpenAPI document cannot be loaded (${error.message}). `,
        el("a", { href: location.pathname }, "Try again"), "."));
  });

function show(spec) {
  const operations = Object.entries(spec.paths).flatMap(([path, item]) =>
    methods.filter((m) => item[m]).map((method) => ({ path, method, op: item[method] })));
  const base = spec.servers?.[0]?.url ?? "";
  const tags = [...new Set(operations.map((o) => o.op.tags?.[0] ?? "Other"))].sort();
  const main = document.getElementById("main");
  const contents = document.getElementById("contents");

  main.replaceChildren(
    el("h1", {}, `${spec.info.title} API`),
    el("p", { class: "note" }, ...prose(spec.info.description ?? "")),
    el("p", { class: "note" }, "Every operation needs a token. The document itself: ",
      el("a", { href: `${base}/openapi.json` }, `${base}/openapi.json`), "."),
    el("pre", {}, `curl -H "Authorization: Bearer $LASTCALL_TOKEN" ${location.origin}${base}/campaigns`));
  for (const tag of tags) {
    main.append(el("h2", {}, tag));
    contents.append(el("h2", {}, tag));
    for (const o of operations.filter((o) => (o.op.tags?.[0] ?? "Other") === tag)) {
      main.append(operation(spec, base, o));
      contents.append(el("a", { href: `#${o.op.operationId}` },
        el("span", { class: `method ${o.method}` }, o.method), o.op.summary));
    }
  }
  follow(contents);
  search(contents);
  if (location.hash) document.getElementById(location.hash.slice(1))?.scrollIntoView();
}

function operation(spec, base, { path, method, op }) {
  const section = el("section", { id: op.operationId },
    el("h3", {}, op.summary),
    el("div", { class: "call" }, el("span", { class: `method ${method}` }, method), el("span", { class: "path" }, base + path)));
  if (op.description) section.append(el("p", {}, ...prose(op.description)));
  const parameters = op.parameters ?? [];
  for (const [place, title] of [["path", "In the path"], ["query", "In the query"], ["header", "Headers"]]) {
    const here = parameters.filter((p) => p.in === place && p.name !== "Content-Type" && p.name !== "Content-Encoding");
    if (here.length) {
      section.append(el("h4", {}, title), el("table", {}, el("tbody", {}, ...here.map((p) =>
        row(p.name, p.schema, p.required && place !== "path", p.description ?? p.schema.description, 0)))));
    }
  }
  for (const [type, media] of Object.entries(op.requestBody?.content ?? {})) {
    section.append(el("h4", {}, `Body: ${type}`), schemaTable(spec, media.schema));
  }
  section.append(el("h4", {}, "Answers"));
  for (const [status, response] of Object.entries(op.responses ?? {}).sort()) {
    const [type, media] = Object.entries(response.content ?? {})[0] ?? [];
    const title = el("summary", {}, el("code", {}, status), response.description ?? "");
    section.append(el("details", {}, title, media ? schemaTable(spec, media.schema, type) : el("p", {}, "No body.")));
  }
  return section;
}

function schemaTable(spec, schema, type) {
  const rows = fields(spec, schema, 0, []);
  if (rows.length) return el("table", {}, el("tbody", {}, ...rows));
  return el("p", {}, type === "text/event-stream" ? "A stream of events." : schema.format === "binary" ? "The file as it is." : typeName(schema));
}

// fields are the rows of an object, with those of the objects in it, three deep.
function fields(spec, schema, depth, seen) {
  const object = resolve(spec, schema);
  if (!object?.properties || seen.includes(object) || depth > 3) return [];
  return Object.entries(object.properties).flatMap(([name, property]) => {
    const inner = property.items ?? (typeof property.additionalProperties === "object" ? property.additionalProperties : property);
    return [
      row(name, property, object.required?.includes(name), property.description, depth),
      ...fields(spec, inner, depth + 1, [...seen, object]),
    ];
  });
}

function row(name, schema, required, description, depth) {
  const facts = [];
  if (schema.enum ?? schema.items?.enum) facts.push(`One of ${(schema.enum ?? schema.items.enum).join(", ")}.`);
  if (schema.default !== undefined) facts.push(`Default ${JSON.stringify(schema.default)}.`);
  if (schema.maxLength) facts.push(`At most ${schema.maxLength} characters.`);
  if (schema.maxItems) facts.push(`At most ${schema.maxItems.toLocaleString("en")} entries.`);
  return el("tr", {},
    el("td", { class: `in${depth}` }, el("code", {}, name), " ", el("span", { class: "type" }, typeName(schema)),
      required ? el("span", { class: "must", title: "Always there" }, " •") : ""),
    el("td", {}, ...prose([description ? `${description}.` : "", ...facts].filter(Boolean).join(" "))));
}

function typeName(schema) {
  if (schema.$ref) return schema.$ref.split("/").pop();
  if (schema.items) return `${typeName(schema.items)}[]`;
  if (schema.type === "object" && typeof schema.additionalProperties === "object") return `{name: ${typeName(schema.additionalProperties)}}`;
  const type = Array.isArray(schema.type) ? schema.type.join(" | ") : schema.type;
  return type ? (schema.format && schema.format !== "int64" ? `${type} (${schema.format})` : type) : "any JSON";
}

function resolve(spec, schema) {
  return schema?.$ref ? spec.components.schemas[schema.$ref.split("/").pop()] : schema;
}

// prose turns `code` into code elements.
function prose(text) {
  return text.split(/`([^`]*)`/).map((part, i) => (i % 2 ? el("code", {}, part) : part));
}

// follow marks the operation that is read.
function follow(contents) {
  const links = new Map([...contents.querySelectorAll("a")].map((a) => [a.hash.slice(1), a]));
  const observer = new IntersectionObserver((entries) => {
    for (const entry of entries.filter((e) => e.isIntersecting)) {
      contents.querySelector(".here")?.classList.remove("here");
      links.get(entry.target.id)?.classList.add("here");
    }
  }, { rootMargin: "0px 0px -80% 0px" });
  for (const section of document.querySelectorAll("section")) observer.observe(section);
}

function search(contents) {
  document.getElementById("search").addEventListener("input", (event) => {
    const wanted = event.target.value.trim().toLowerCase();
    for (const link of contents.querySelectorAll("a")) {
      const text = `${link.textContent} ${document.querySelector(`[id="${link.hash.slice(1)}"] .path`).textContent}`;
      link.hidden = !text.toLowerCase().includes(wanted);
    }
  });
}

function el(name, attributes, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}
