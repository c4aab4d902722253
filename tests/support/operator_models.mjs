// Judges objects of the Prometheus operator by its own schema, as the package @kubernetes-models/prometheus-operator has it.
// node operator_models.mjs DIRECTORY <objects.json: DIRECTORY has the package in node_modules, standard input is an array of
// objects. Prints an array of problems, [index, words]. The package's validators pass over fields that they don't know,
// as the schema says; so the fields that they look at are noted, and whatever is left is a problem, as it is to kubectl.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const resolve = createRequire(`${process.argv[2]}/`).resolve;
const problems = [];

for (const [index, object] of JSON.parse(readFileSync(0, "utf8")).entries()) {
    const found = await judge(object).catch((error) => [`no such model: ${error.message.split("\n")[0]}`]);
    problems.push(...found.map((words) => [index, words]));
}
console.log(JSON.stringify(problems));

async function judge(object) {
    const place = resolve("@kubernetes-models/prometheus-operator/package.json").replace(/package\.json$/, "");
    const model = (await import(pathToFileURL(`${place}${object.apiVersion}/${object.kind}.js`)))[object.kind];
    try {
        new model(object).validate();
    } catch (error) {
        return [error.message];
    }
    const seen = new Set();
    // Not of a new model, which would copy all of it.
    model.prototype.validate.call(noting(object, "", seen));
    return [...places(object, "")].filter((place) => !seen.has(place)).map((place) => `${place} is unknown`);
}

function noting(value, place, seen) {
    if (value === null || typeof value !== "object") return value;
    return new Proxy(value, {
        get(target, key) {
            if (typeof key !== "string" || !Object.hasOwn(target, key)) return Reflect.get(target, key);
            seen.add(`${place}/${key}`);
            return noting(target[key], `${place}/${key}`, seen);
        },
    });
}

function* places(value, place) {
    if (value === null || typeof value !== "object") return;
    for (const key of Object.keys(value)) {
        yield `${place}/${key}`;
        yield* places(value[key], `${place}/${key}`);
    }
}
