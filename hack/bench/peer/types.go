package main

import (
	"maps"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

const kind = "ScheduledPreloadJob"

var groupVersion = schema.GroupVersion{Group: "esa.preload-operator.io", Version: "v1alpha1"}

// ScheduledPreloadJob is the resource. Of its spec only what a reset needs is here: a write of the status leaves the
// stored spec alone.
type ScheduledPreloadJob struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   Spec   `json:"spec"`
	Status Status `json:"status,omitzero"`
}

// ScheduledPreloadJobList is what the cache lists.
type ScheduledPreloadJobList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []ScheduledPreloadJob `json:"items"`
}

// Spec names the ESA job.
type Spec struct {
	JobID string `json:"jobId"`
}

// Status is the whole status of the CRD. Counters are pointers, because 0 is what a reset makes of them and has to
// be written.
type Status struct {
	ObservedGeneration int64              `json:"observedGeneration,omitempty"`
	RequestID          string             `json:"requestId,omitempty"`
	AliUID             string             `json:"aliUid,omitempty"`
	CreatedAt          string             `json:"createdAt,omitempty"`
	Domains            string             `json:"domains,omitempty"`
	ErrorInfo          string             `json:"errorInfo,omitempty"`
	FailedFileOss      string             `json:"failedFileOss,omitempty"`
	FileID             string             `json:"fileId,omitempty"`
	JobID              string             `json:"jobId,omitempty"`
	InsertWay          string             `json:"insertWay,omitempty"`
	Name               string             `json:"name,omitempty"`
	SiteID             int64              `json:"siteId,omitempty"`
	TaskSubmitted      *int64             `json:"taskSubmitted,omitempty"`
	TaskType           string             `json:"taskType,omitempty"`
	URLCount           *int64             `json:"urlCount,omitempty"`
	URLSubmitted       *int64             `json:"urlSubmitted,omitempty"`
	Progress           *int32             `json:"progress,omitempty"`
	RefreshedAt        *metav1.Time       `json:"refreshedAt,omitempty"`
	Reset              *Reset             `json:"reset,omitempty"`
	HandledResets      map[string]string  `json:"handledResets,omitempty"`
	LastResetTime      *metav1.Time       `json:"lastResetTime,omitempty"`
	NextResetTime      *metav1.Time       `json:"nextResetTime,omitempty"`
	Conditions         []metav1.Condition `json:"conditions,omitempty"`
}

// Reset is the reset that is under way, or the last one.
type Reset struct {
	Phase           string            `json:"phase,omitempty"`
	JobID           string            `json:"jobId,omitempty"`
	Tokens          map[string]string `json:"tokens,omitempty"`
	Trigger         string            `json:"trigger,omitempty"`
	Owner           string            `json:"owner,omitempty"`
	StartedAt       *metav1.MicroTime `json:"startedAt,omitempty"`
	FinishedAt      *metav1.Time      `json:"finishedAt,omitempty"`
	SubmittedBefore *int64            `json:"submittedBefore,omitempty"`
	RequestID       string            `json:"requestId,omitempty"`
	Attempts        int32             `json:"attempts,omitempty"`
	Message         string            `json:"message,omitempty"`
	Signing         *Signing          `json:"signing,omitempty"`
}

// Signing is never written here; it stands in the CRD.
type Signing struct {
	Nonce  string `json:"nonce,omitempty"`
	Date   string `json:"date,omitempty"`
	Signer string `json:"signer,omitempty"`
}

func addToScheme(scheme *runtime.Scheme) error {
	scheme.AddKnownTypes(groupVersion, &ScheduledPreloadJob{}, &ScheduledPreloadJobList{})
	metav1.AddToGroupVersion(scheme, groupVersion)
	return nil
}

// DeepCopyObject makes the type a runtime.Object.
func (j *ScheduledPreloadJob) DeepCopyObject() runtime.Object { return j.deepCopy() }

func (j *ScheduledPreloadJob) deepCopy() *ScheduledPreloadJob {
	result := &ScheduledPreloadJob{TypeMeta: j.TypeMeta, Spec: j.Spec, Status: j.Status.deepCopy()}
	j.ObjectMeta.DeepCopyInto(&result.ObjectMeta)
	return result
}

// DeepCopyObject makes the type a runtime.Object.
func (l *ScheduledPreloadJobList) DeepCopyObject() runtime.Object {
	result := &ScheduledPreloadJobList{TypeMeta: l.TypeMeta}
	l.ListMeta.DeepCopyInto(&result.ListMeta)
	for index := range l.Items {
		result.Items = append(result.Items, *l.Items[index].deepCopy())
	}
	return result
}

func (s Status) deepCopy() Status {
	s.TaskSubmitted = copied(s.TaskSubmitted)
	s.URLCount = copied(s.URLCount)
	s.URLSubmitted = copied(s.URLSubmitted)
	s.Progress = copied(s.Progress)
	s.RefreshedAt = s.RefreshedAt.DeepCopy()
	s.LastResetTime = s.LastResetTime.DeepCopy()
	s.NextResetTime = s.NextResetTime.DeepCopy()
	s.Reset = s.Reset.deepCopy()
	s.HandledResets = maps.Clone(s.HandledResets)
	s.Conditions = slices.Clone(s.Conditions) // a condition points to nothing that anybody changes
	return s
}

func (r *Reset) deepCopy() *Reset {
	if r == nil {
		return nil
	}
	result := *r
	result.Tokens = maps.Clone(r.Tokens)
	result.StartedAt = r.StartedAt.DeepCopy()
	result.FinishedAt = r.FinishedAt.DeepCopy()
	result.SubmittedBefore = copied(r.SubmittedBefore)
	result.Signing = copied(r.Signing)
	return &result
}

func copied[T any](value *T) *T {
	if value == nil {
		return nil
	}
	result := *value
	return &result
}
