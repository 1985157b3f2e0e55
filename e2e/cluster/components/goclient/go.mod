module tulle.dev/e2e/cluster/components/goclient

go 1.26.0
