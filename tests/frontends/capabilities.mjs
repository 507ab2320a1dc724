// Read capabilities as AG-UI's own schema does. Argument: a file with them. Prints what is wrong, as JSON.

import { readFile } from "node:fs/promises";
import { AgentCapabilitiesSchema } from "@ag-ui/core/schemas";

const read = AgentCapabilitiesSchema.safeParse(JSON.parse(await readFile(process.argv[2], "utf8")));
console.log(JSON.stringify(read.success ? [] : read.error.issues.map((issue) => [issue.path.join("."), issue.message])));
