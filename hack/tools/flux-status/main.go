// What Flux makes of an object: by kstatus, which it uses by default, and by the health expressions of a Kustomization.
//
// Reads {"exprs": {current, failed, inProgress}, "objects": […]} from stdin, writes [{"kstatus", "expressions"}, …].
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"github.com/fluxcd/pkg/apis/kustomize"
	"github.com/fluxcd/pkg/runtime/cel"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

type question struct {
	Exprs   kustomize.HealthCheckExpressions `json:"exprs"`
	Objects []*unstructured.Unstructured     `json:"objects"`
}

type answer struct {
	Kstatus     string `json:"kstatus"`
	Expressions string `json:"expressions"`
}

func judge(object *unstructured.Unstructured, expressions *cel.StatusEvaluator) (answer, error) {
	plain, err := status.Compute(object)
	if err != nil {
		return answer{}, fmt.Errorf("kstatus: %w", err)
	}
	custom, err := expressions.Evaluate(context.Background(), object)
	if err != nil {
		return answer{}, fmt.Errorf("expressions: %w", err)
	}
	return answer{string(plain.Status), string(custom.Status)}, nil
}

func run() error {
	var asked question
	if err := json.NewDecoder(os.Stdin).Decode(&asked); err != nil {
		return err
	}
	expressions, err := cel.NewStatusEvaluator(&asked.Exprs)
	if err != nil {
		return err
	}
	answers := make([]answer, 0, len(asked.Objects))
	for _, object := range asked.Objects {
		found, err := judge(object, expressions)
		if err != nil {
			return fmt.Errorf("%s: %w", object.GetName(), err)
		}
		answers = append(answers, found)
	}
	return json.NewEncoder(os.Stdout).Encode(answers)
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "flux-status:", err)
		os.Exit(1)
	}
}
