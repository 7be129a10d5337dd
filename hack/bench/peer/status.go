package main

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	resetKey = "resetRequested"
	owner    = "peer"
)

// announce puts into the status that ESA is about to be called, so that a reader knows it before ESA does.
func announce(job *ScheduledPreloadJob, token string, seen *esaJob) {
	now := metav1.NowMicro()
	before := int64(seen.URLSubmitted)
	job.Status.Reset = &Reset{
		Phase:           "InFlight",
		JobID:           job.Spec.JobID,
		Tokens:          map[string]string{resetKey: token},
		Trigger:         "Annotation",
		Owner:           owner,
		StartedAt:       &now,
		SubmittedBefore: &before,
		Attempts:        1,
	}
	show(job, seen, "Resetting", fmt.Sprintf("resetting ESA job %s", job.Spec.JobID), true)
}

// conclude puts into the status what became of the call.
func conclude(job *ScheduledPreloadJob, token string, answer *esaJob) {
	now := metav1.Now()
	reset := job.Status.Reset.deepCopy()
	reset.Phase = "Succeeded"
	reset.FinishedAt = &now
	reset.RequestID = answer.RequestID
	job.Status.Reset = reset
	job.Status.HandledResets = map[string]string{resetKey: token}
	job.Status.LastResetTime = &now
	show(job, answer, "Ready", fmt.Sprintf("ESA job %s can be reset", job.Spec.JobID), false)
}

// show puts into the status what ESA says about the job, and the conditions.
func show(job *ScheduledPreloadJob, seen *esaJob, reason, message string, resetting bool) {
	job.Status.ObservedGeneration = job.Generation
	copyFields(&job.Status, seen)
	setCondition(job, "Ready", metav1.ConditionTrue, reason, message)
	if resetting {
		setCondition(job, "Reconciling", metav1.ConditionTrue, reason, message)
	} else {
		setCondition(job, "Reconciling", metav1.ConditionFalse, reason, "")
	}
	setCondition(job, "Stalled", metav1.ConditionFalse, "Ready", "")
	if seen.ErrorInfo == "" {
		setCondition(job, "UrlsAccepted", metav1.ConditionTrue, "UrlsAccepted", "")
	} else {
		setCondition(job, "UrlsAccepted", metav1.ConditionFalse, "OtherErrors", seen.ErrorInfo)
	}
}

func setCondition(job *ScheduledPreloadJob, name string, status metav1.ConditionStatus, reason, message string) {
	meta.SetStatusCondition(&job.Status.Conditions, metav1.Condition{
		Type:               name,
		Status:             status,
		Reason:             reason,
		Message:            message,
		ObservedGeneration: job.Generation,
	})
}

func copyFields(status *Status, seen *esaJob) {
	now := metav1.Now()
	taskSubmitted, urlCount, urlSubmitted := int64(seen.TaskSubmitted), int64(seen.URLCount), int64(seen.URLSubmitted)
	progress := percent(urlSubmitted, urlCount)
	status.RequestID = seen.RequestID
	status.AliUID = seen.AliUID
	status.CreatedAt = normalTime(seen.CreatedAt)
	status.Domains = seen.Domains
	status.ErrorInfo = seen.ErrorInfo
	status.FailedFileOss = seen.FailedFileOss
	status.FileID = seen.FileID
	status.JobID = seen.ID
	status.InsertWay = seen.InsertWay
	status.Name = seen.Name
	status.SiteID = int64(seen.SiteID)
	status.TaskSubmitted = &taskSubmitted
	status.TaskType = seen.TaskType
	status.URLCount = &urlCount
	status.URLSubmitted = &urlSubmitted
	status.Progress = &progress
	status.RefreshedAt = &now
}

// percent says how much is submitted, without the overflow of a product.
func percent(submitted, all int64) int32 {
	if all == 0 {
		return 0
	}
	return int32(min(100, float64(submitted)*100/float64(all)))
}

// normalTime returns a time as RFC 3339 in UTC; ESA writes an offset with and without a colon.
func normalTime(text string) string {
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05Z0700"} {
		if moment, err := time.Parse(layout, text); err == nil {
			return moment.UTC().Format(time.RFC3339)
		}
	}
	return ""
}

// succeeded is the Event that people see in `kubectl describe`.
func succeeded(job *ScheduledPreloadJob, token string, answer *esaJob) *eventsv1.Event {
	return &eventsv1.Event{
		ObjectMeta:          metav1.ObjectMeta{Name: job.Name + "." + randomHex(8), Namespace: job.Namespace},
		EventTime:           metav1.NowMicro(),
		ReportingController: userAgent,
		ReportingInstance:   owner,
		Action:              "Reconcile",
		Reason:              "ResetSucceeded",
		Type:                corev1.EventTypeNormal,
		Note: fmt.Sprintf("ESA reset job %s for %s='%s' (request %s)",
			job.Spec.JobID, resetKey, token, answer.RequestID),
		Regarding: corev1.ObjectReference{
			APIVersion:      groupVersion.String(),
			Kind:            kind,
			Namespace:       job.Namespace,
			Name:            job.Name,
			UID:             job.UID,
			ResourceVersion: job.ResourceVersion,
		},
	}
}
