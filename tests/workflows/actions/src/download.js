// Stand-in for actions/download-artifact: `name`, or `pattern` with `merge-multiple`.
const path = require("node:path");
const core = require("@actions/core");
const { DefaultArtifactClient } = require("@actions/artifact");

async function main() {
  const client = new DefaultArtifactClient();
  const name = core.getInput("name");
  const pattern = core.getInput("pattern");
  const merge = core.getInput("merge-multiple") === "true";
  const target = path.resolve(core.getInput("path") || ".");
  const { artifacts } = await client.listArtifacts({ latest: true });
  const escaped = pattern.replace(/[.+^${}()|[\]\\]/g, "\\$&").replaceAll("*", ".*");
  const wanted = artifacts.filter((a) => (name ? a.name === name : new RegExp(`^${escaped}$`).test(a.name)));
  if (name && wanted.length === 0) throw new Error(`no artifact ${name} in this run`);
  for (const artifact of wanted) {
    const folder = name || merge ? target : path.join(target, artifact.name);
    await client.downloadArtifact(artifact.id, { path: folder });
    core.info(`${artifact.name} -> ${folder}`);
  }
}

main().catch((error) => core.setFailed(error.message));
