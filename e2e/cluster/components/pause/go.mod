module tulle.dev/e2e/cluster/components/pause

go 1.26.0
