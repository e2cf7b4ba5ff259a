// Says whether an AnalysisTemplate on standard input is one by the schema of Argo Rollouts.
import { readFileSync } from "node:fs";
import { AnalysisTemplate } from "@kubernetes-models/argo-rollouts/argoproj.io/v1alpha1/AnalysisTemplate";

new AnalysisTemplate(JSON.parse(readFileSync(0, "utf8"))).validate();
