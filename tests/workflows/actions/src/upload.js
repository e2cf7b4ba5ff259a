// Stand-in for actions/upload-artifact: the same inputs, as far as our workflows use them, on the official toolkit.
const path = require("node:path");
const fs = require("node:fs");
const core = require("@actions/core");
const glob = require("@actions/glob");
const { DefaultArtifactClient } = require("@actions/artifact");

async function main() {
  const name = core.getInput("name", { required: true });
  const root = path.resolve(core.getInput("path", { required: true }));
  const missing = core.getInput("if-no-files-found") || "warn";
  const globber = await glob.create(root, { matchDirectories: false });
  const files = await globber.glob();
  if (files.length === 0) {
    if (missing === "error") throw new Error(`no files found at ${root}`);
    core.warning(`no files found at ${root}`);
    return;
  }
  const base = fs.statSync(root).isDirectory() ? root : path.dirname(root);
  const { id, size } = await new DefaultArtifactClient().uploadArtifact(name, files, base, { compressionLevel: 1 });
  core.setOutput("artifact-id", id);
  core.info(`${name}: ${files.length} files, ${size} bytes`);
}

main().catch((error) => core.setFailed(error.message));
