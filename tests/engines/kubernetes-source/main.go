// An API server of Kubernetes with its etcd, in one process, for tests: `kubernetes FOLDER PORT`. It runs on
// 127.0.0.1:PORT with all its files in FOLDER, and FOLDER/kubeconfig is for an admin. There are no nodes and no
// controllers: objects are checked, kept and read back, and nothing else happens.
package main

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"log"
	"net"
	"net/url"
	"os"
	"path/filepath"

	"go.etcd.io/etcd/server/v3/embed"
	"k8s.io/component-base/cli"
	"k8s.io/kubernetes/cmd/kube-apiserver/app"
)

const kubeconfig = `apiVersion: v1
kind: Config
clusters: [{name: test, cluster: {server: "https://127.0.0.1:%s", insecure-skip-tls-verify: true}}]
users: [{name: admin, user: {token: %s}}]
contexts: [{name: test, context: {cluster: test, user: admin}}]
current-context: test
`

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

// An address on which nobody listens.
func freeAddress() url.URL {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(err)
	defer listener.Close()
	return url.URL{Scheme: "http", Host: listener.Addr().String()}
}

// Starts etcd and returns its address.
func startEtcd(folder string) string {
	config := embed.NewConfig()
	config.Dir = filepath.Join(folder, "etcd")
	client, peer := freeAddress(), freeAddress()
	config.ListenClientUrls, config.AdvertiseClientUrls = []url.URL{client}, []url.URL{client}
	config.ListenPeerUrls, config.AdvertisePeerUrls = []url.URL{peer}, []url.URL{peer}
	config.InitialCluster = config.InitialClusterFromName(config.Name)
	config.LogLevel = "error"
	// Nothing here outlives the test.
	config.UnsafeNoFsync = true
	etcd, err := embed.StartEtcd(config)
	must(err)
	<-etcd.Server.ReadyNotify()
	return client.String()
}

func main() {
	if len(os.Args) != 3 {
		log.Fatal("usage: kubernetes FOLDER PORT")
	}
	folder, port := os.Args[1], os.Args[2]
	at := func(name string) string { return filepath.Join(folder, name) }
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	must(err)
	block := &pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}
	must(os.WriteFile(at("accounts.pem"), pem.EncodeToMemory(block), 0o600))
	secret := make([]byte, 16)
	_, err = rand.Read(secret)
	must(err)
	token := hex.EncodeToString(secret)
	must(os.WriteFile(at("tokens.csv"), []byte(token+",admin,admin,system:masters\n"), 0o600))
	must(os.WriteFile(at("kubeconfig"), fmt.Appendf(nil, kubeconfig, port, token), 0o600))
	command := app.NewAPIServerCommand()
	command.SetArgs([]string{
		"--etcd-servers", startEtcd(folder),
		"--bind-address", "127.0.0.1",
		"--secure-port", port,
		"--cert-dir", at("certificates"),
		"--service-account-issuer", "https://kubernetes.test",
		"--service-account-key-file", at("accounts.pem"),
		"--service-account-signing-key-file", at("accounts.pem"),
		"--service-cluster-ip-range", "10.96.0.0/16",
		"--token-auth-file", at("tokens.csv"),
		"--authorization-mode", "RBAC",
	})
	os.Exit(cli.Run(command))
}
