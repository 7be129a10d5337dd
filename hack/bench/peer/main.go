// The reference to compare the operator with: the same requests for each reset, made by controller-runtime.
//
// It is there to be measured, not to be used: it has no leader election, no health server and no metrics, and after a
// crash it resets again what it had begun.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"
)

const (
	userAgent = "esa-preload-peer"
	workers   = 16 // as many as the measured operator has by default
	off       = "0"
)

// reconciler resets the ESA job of a resource once for each token that its annotation asks with.
type reconciler struct {
	client client.Client
	esa    *esaClient
	// handled has the last token of each resource: the cache may not show the last write yet.
	handled sync.Map
}

// Reconcile makes the five requests of one reset, one after the other.
func (r *reconciler) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	job := &ScheduledPreloadJob{}
	if err := r.client.Get(ctx, request.NamespacedName, job); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	token := job.Annotations[resetKey]
	if token == "" || job.Status.HandledResets[resetKey] == token {
		return ctrl.Result{}, nil
	}
	if last, known := r.handled.Load(job.Name); known && last == token {
		return ctrl.Result{}, nil
	}
	return ctrl.Result{}, r.reset(ctx, job, token)
}

func (r *reconciler) reset(ctx context.Context, job *ScheduledPreloadJob, token string) error {
	seen, err := r.esa.getJob(ctx, job.Spec.JobID)
	if err != nil {
		return err
	}
	announce(job, token, seen)
	if err := r.client.Status().Update(ctx, job); err != nil {
		return fmt.Errorf("intent: %w", err)
	}
	answer, err := r.esa.resetJob(ctx, job.Spec.JobID)
	if err != nil {
		return err
	}
	conclude(job, token, answer) // on the version that the first update has left in job
	if err := r.client.Status().Update(ctx, job); err != nil {
		return fmt.Errorf("outcome: %w", err)
	}
	r.handled.Store(job.Name, token)
	// Not by a recorder, which would queue it: the measured operator waits for its Event, too.
	if err := r.client.Create(ctx, succeeded(job, token, answer)); err != nil {
		return fmt.Errorf("event: %w", err)
	}
	return nil
}

func main() {
	level := &slog.HandlerOptions{Level: slog.LevelError}
	ctrl.SetLogger(logr.FromSlogHandler(slog.NewTextHandler(os.Stderr, level)))
	if err := run(ctrl.SetupSignalHandler()); err != nil {
		fmt.Fprintln(os.Stderr, "peer:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	values, err := settings("KUBECONFIG", "BENCH_NAMESPACE", "BENCH_ENDPOINT", "BENCH_KEY_ID", "BENCH_KEY_SECRET")
	if err != nil {
		return err
	}
	config, err := connection(values["KUBECONFIG"])
	if err != nil {
		return err
	}
	manager, err := newManager(config, values["BENCH_NAMESPACE"])
	if err != nil {
		return err
	}
	esa := newESAClient(values["BENCH_ENDPOINT"], values["BENCH_KEY_ID"], values["BENCH_KEY_SECRET"])
	err = ctrl.NewControllerManagedBy(manager).
		For(&ScheduledPreloadJob{}).
		WithOptions(controller.Options{MaxConcurrentReconciles: workers}).
		Complete(&reconciler{client: manager.GetClient(), esa: esa})
	if err != nil {
		return err
	}
	return manager.Start(ctx)
}

// settings returns variables of the environment, all of which have to be set.
func settings(names ...string) (map[string]string, error) {
	values := map[string]string{}
	for _, name := range names {
		value := os.Getenv(name)
		if value == "" {
			return nil, fmt.Errorf("%s is not set", name)
		}
		values[name] = value
	}
	return values, nil
}

// connection reads the kubeconfig that was named and no other: a default could be somebody's real cluster.
func connection(kubeconfig string) (*rest.Config, error) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, err
	}
	config.QPS = -1 // no limit of the client's own, which would be all that is measured
	config.UserAgent = userAgent
	return config, nil
}

func newManager(config *rest.Config, namespace string) (ctrl.Manager, error) {
	scheme := runtime.NewScheme()
	if err := clientgoscheme.AddToScheme(scheme); err != nil { // for the Events
		return nil, err
	}
	if err := addToScheme(scheme); err != nil {
		return nil, err
	}
	return ctrl.NewManager(config, ctrl.Options{
		Scheme:                 scheme,
		Cache:                  cache.Options{DefaultNamespaces: map[string]cache.Config{namespace: {}}},
		Metrics:                server.Options{BindAddress: off},
		HealthProbeBindAddress: off,
	})
}
