// Lists the operations of /openapi.json. Everything is inserted as text, never as markup.

const METHODS = ["get", "post", "put", "patch", "delete"];

function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

function name_of(reference) {
  return reference.split("/").at(-1);
}

/** A short description of a schema; referenced schemas are expanded once on each path. */
function outline(schema, schemas, seen = []) {
  if (!schema) return "nothing";
  if (schema.$ref) {
    const name = name_of(schema.$ref);
    if (seen.includes(name)) return name;
    return outline(schemas[name], schemas, [...seen, name]);
  }
  const choices = schema.anyOf ?? schema.oneOf;
  if (choices) return choices.map((choice) => outline(choice, schemas, seen)).join("  |  ");
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(" | ");
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.type === "array") return `[${outline(schema.items ?? {}, schemas, seen)}, …]`;
  if (schema.type === "object" && schema.properties) {
    const required = new Set(schema.required ?? []);
    const lines = Object.entries(schema.properties).map(([name, property]) => {
      const inner = outline(property, schemas, seen).replaceAll("\n", "\n  ");
      return `  ${name}${required.has(name) ? "" : "?"}: ${inner}`;
    });
    return `{\n${lines.join(",\n")}\n}`;
  }
  if (schema.type === "object" && typeof schema.additionalProperties === "object") {
    return `{name: ${outline(schema.additionalProperties, schemas, seen)}, …}`;
  }
  const range = [schema.minimum !== undefined ? `≥ ${schema.minimum}` : "", schema.maximum !== undefined ? `≤ ${schema.maximum}` : ""];
  return [schema.format ?? schema.type ?? "anything", ...range].filter(Boolean).join(" ");
}

function bodies(content, schemas) {
  return Object.entries(content ?? {}).flatMap(([kind, { schema }]) => [
    element("p", { className: "said" }, kind, schema?.description ? `: ${schema.description}` : ""),
    element("pre", {}, outline(schema, schemas)),
  ]);
}

function parameters(operation, schemas) {
  if (!operation.parameters?.length) return [];
  const rows = operation.parameters.map((one) =>
    element("tr", {},
      element("td", {}, element("code", {}, one.name), one.required ? "" : " (optional)"),
      element("td", {}, outline(one.schema, schemas)),
      element("td", {}, one.description ?? one.schema?.description ?? "")));
  return [element("h3", {}, "Parameters"), element("table", {}, element("tbody", {}, ...rows))];
}

function answers(operation, schemas) {
  const shown = [element("h3", {}, "Answers")];
  const refused = [];
  for (const [status, answer] of Object.entries(operation.responses)) {
    if (status < "400") {
      shown.push(element("p", {}, element("code", {}, status), " ", answer.description), ...bodies(answer.content, schemas));
    } else {
      refused.push(element("tr", {}, element("td", {}, element("code", {}, status)), element("td", {}, answer.description)));
    }
  }
  return [...shown, element("table", {}, element("tbody", {}, ...refused))];
}

function entry(path, method, operation, schemas) {
  const inside = element("div", { className: "inside" }, element("p", {}, operation.description ?? ""));
  const made = element("details", {},
    element("summary", {},
      element("span", { className: "method" }, method.toUpperCase()),
      element("span", { className: "path" }, path),
      element("span", { className: "said" }, operation.summary ?? "")),
    inside);
  made.dataset.words = `${method} ${path} ${operation.summary ?? ""} ${operation.description ?? ""}`.toLowerCase();
  made.addEventListener("toggle", () => {
    const body = operation.requestBody ? [element("h3", {}, "Body"), ...bodies(operation.requestBody.content, schemas)] : [];
    inside.append(...parameters(operation, schemas), ...body, ...answers(operation, schemas));
  }, { once: true });
  return made;
}

function show(api) {
  const schemas = api.components?.schemas ?? {};
  const groups = new Map();
  for (const [path, operations] of Object.entries(api.paths)) {
    for (const method of METHODS.filter((one) => operations[one])) {
      const tag = operations[method].tags?.[0] ?? "more";
      if (!groups.has(tag)) groups.set(tag, []);
      groups.get(tag).push(entry(path, method, operations[method], schemas));
    }
  }
  document.querySelector("#version").textContent = api.info.version;
  document.querySelector("#about").textContent = api.info.description;
  const main = document.querySelector("#operations");
  main.replaceChildren(...[...groups].map(([tag, entries]) => element("section", {}, element("h2", {}, tag), ...entries)));
  document.querySelector("#find").addEventListener("input", (event) => {
    const wanted = event.target.value.toLowerCase();
    for (const one of main.querySelectorAll("details")) one.hidden = !one.dataset.words.includes(wanted);
    for (const section of main.querySelectorAll("section")) section.hidden = !section.querySelector("details:not([hidden])");
  });
}

try {
  const answer = await fetch("openapi.json");
  if (!answer.ok) throw new Error(`the service answered ${answer.status}`);
  show(await answer.json());
} catch (error) {
  document.querySelector("#operations").textContent = `The document cannot be read: ${error.message}`;
}
