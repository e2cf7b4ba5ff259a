// Stand-in for actions/checkout with `ref` and `path`: a clone of the workspace's own history.
import { execFileSync } from "node:child_process";
import { rmSync } from "node:fs";
import path from "node:path";

const target = path.resolve(process.env.INPUT_PATH);
if (!process.env.INPUT_REF || !process.env.INPUT_PATH) throw new Error("this stand-in needs ref and path");
rmSync(target, { recursive: true, force: true });
const git = (...given) => execFileSync("git", ["-c", "safe.directory=*", ...given], { stdio: "inherit" });
git("clone", "--quiet", "--no-checkout", process.env.GITHUB_WORKSPACE, target);
git("-C", target, "checkout", "--quiet", process.env.INPUT_REF);
