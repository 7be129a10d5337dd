package main

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"sort"
	"strconv"
	"strings"
	"time"
)

const (
	algorithm   = "ACS3-HMAC-SHA256"
	esaVersion  = "2024-09-10"
	callTimeout = 10 * time.Second
	maxAnswer   = 8 << 20
	idlePerHost = 64
)

// emptyHash is the SHA-256 of an empty body: both calls carry everything in the query.
var emptyHash = hexHash(nil)

// esaClient makes signed calls to one endpoint over kept-alive connections.
type esaClient struct {
	endpoint  string
	keyID     string
	keySecret string
	http      *http.Client
}

// esaJob is what both calls answer with.
type esaJob struct {
	RequestID     string `json:"RequestId"`
	ID            string `json:"Id"`
	AliUID        string `json:"AliUid"`
	CreatedAt     string
	Domains       string
	ErrorInfo     string
	FailedFileOss string
	FileID        string `json:"FileId"`
	InsertWay     string
	Name          string
	SiteID        count `json:"SiteId"`
	TaskSubmitted count
	TaskType      string
	URLCount      count `json:"UrlCount"`
	URLSubmitted  count `json:"UrlSubmitted"`
}

// count is a number that may come as text; what is no number counts as 0, so that one odd field spoils no answer.
type count int64

func (c *count) UnmarshalJSON(data []byte) error {
	text := string(bytes.Trim(data, `"`))
	number, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		// A number such as 1e3 or 2.0; what is no number at all gives 0.
		if float, err := strconv.ParseFloat(text, 64); err == nil && float < math.MaxInt64 {
			number = int64(float)
		} else {
			number = 0
		}
	}
	*c = count(max(0, number))
	return nil
}

func newESAClient(endpoint, keyID, keySecret string) *esaClient {
	transport := &http.Transport{
		MaxIdleConns:        idlePerHost,
		MaxIdleConnsPerHost: idlePerHost,
		IdleConnTimeout:     15 * time.Second,
		DisableCompression:  true, // so that no header goes out that the measured operator does not send
	}
	// A signature is for one host: following a redirect could only fail, or reset twice.
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &esaClient{
		endpoint:  strings.TrimRight(endpoint, "/"),
		keyID:     keyID,
		keySecret: keySecret,
		http:      &http.Client{Transport: transport, CheckRedirect: stay, Timeout: callTimeout},
	}
}

func (c *esaClient) getJob(ctx context.Context, id string) (*esaJob, error) {
	return c.call(ctx, http.MethodGet, "GetScheduledPreloadJob", id)
}

func (c *esaClient) resetJob(ctx context.Context, id string) (*esaJob, error) {
	return c.call(ctx, http.MethodPost, "ResetScheduledPreloadJob", id)
}

func (c *esaClient) call(ctx context.Context, method, action, id string) (*esaJob, error) {
	// Ids have letters, digits, _ and - only, so this encoding is the canonical one, too.
	query := url.Values{"Id": {id}}.Encode()
	request, err := http.NewRequestWithContext(ctx, method, c.endpoint+"/?"+query, nil)
	if err != nil {
		return nil, err
	}
	c.sign(request, action)
	response, err := c.http.Do(request)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", action, err)
	}
	defer response.Body.Close()
	// Read to its end, because only then is the connection used again.
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", action, err)
	}
	return readJob(action, response.StatusCode, body)
}

// readJob returns the job of an answer, or what ESA says against the call.
func readJob(action string, status int, body []byte) (*esaJob, error) {
	if status != http.StatusOK {
		var refusal struct{ Code, Message, RequestID string }
		_ = json.Unmarshal(body, &refusal) // a gateway may answer with anything; then the status says it all
		return nil, fmt.Errorf("%s: HTTP %d %s: %s (request %s)",
			action, status, refusal.Code, refusal.Message, refusal.RequestID)
	}
	job := &esaJob{}
	if err := json.Unmarshal(body, job); err != nil {
		return nil, fmt.Errorf("%s: unreadable answer: %w", action, err)
	}
	if job.ID == "" {
		return nil, fmt.Errorf("%s: the answer holds no job", action)
	}
	return job, nil
}

// sign gives the request its headers: what the gateway needs, and the signature over the host and all of x-acs-*.
func (c *esaClient) sign(request *http.Request, action string) {
	covered := map[string]string{
		"host":                  request.URL.Host,
		"x-acs-action":          action,
		"x-acs-content-sha256":  emptyHash,
		"x-acs-date":            time.Now().UTC().Format(time.RFC3339),
		"x-acs-signature-nonce": randomHex(16),
		"x-acs-version":         esaVersion,
	}
	for name, value := range covered {
		if name != "host" { // net/http sends it by itself, from the URL
			request.Header.Set(name, value)
		}
	}
	request.Header.Set("Accept", "application/json")
	request.Header.Set("User-Agent", userAgent)
	request.Header.Set("Authorization",
		authorization(c.keyID, c.keySecret, request.Method, request.URL.RawQuery, covered))
}

// authorization signs a request without a body as "Request syntax and signature method V3" says.
func authorization(keyID, keySecret, method, query string, covered map[string]string) string {
	names := make([]string, 0, len(covered))
	for name := range covered {
		names = append(names, name)
	}
	sort.Strings(names)
	var headers strings.Builder
	for _, name := range names {
		headers.WriteString(name + ":" + covered[name] + "\n")
	}
	signed := strings.Join(names, ";")
	canonical := strings.Join([]string{method, "/", query, headers.String(), signed, emptyHash}, "\n")
	mac := hmac.New(sha256.New, []byte(keySecret))
	mac.Write([]byte(algorithm + "\n" + hexHash([]byte(canonical))))
	return fmt.Sprintf("%s Credential=%s,SignedHeaders=%s,Signature=%s",
		algorithm, keyID, signed, hex.EncodeToString(mac.Sum(nil)))
}

func hexHash(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

func randomHex(size int) string {
	raw := make([]byte, size)
	rand.Read(raw) // never fails: crypto/rand ends the process instead
	return hex.EncodeToString(raw)
}
