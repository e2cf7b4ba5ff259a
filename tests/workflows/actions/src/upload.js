// Stand-in for actions/upload-artifact: the same inputs, as far as our workflows use them, on the official toolkit.
const path = require("node:path");
const fs = require("node:fs");
const core = require("@actions/core");
const glob = require("@actions/glob");
const { DefaultArtifactClient } = require("@actions/artifact");

async function main() {
  const name = core.getInput("name", { required: true });
  const roots = core.getMultilineInput("path", { required: true }).map((line) => path.resolve(line));
  const missing = core.getInput("if-no-files-found") || "warn";
  const globber = await glob.create(roots.join("\n"), { matchDirectories: false });
  const files = await globber.glob();
  if (files.length === 0) {
    if (missing === "error") throw new Error(`no files found at ${roots}`);
    core.warning(`no files found at ${roots}`);
    return;
  }
  // Of several paths ours are neighbours, so their folder is what they have in common.
  const [root] = roots;
  const base = roots.length === 1 && fs.statSync(root).isDirectory() ? root : path.dirname(root);
  const { id, size } = await new DefaultArtifactClient().uploadArtifact(name, files, base, { compressionLevel: 1 });
  core.setOutput("artifact-id", id);
  core.info(`${name}: ${files.length} files, ${size} bytes`);
}

main().catch((error) => core.setFailed(error.message));
