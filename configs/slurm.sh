#!/usr/bin/env bash
# An example of a run on several hosts under Slurm, one process per host:  sbatch configs/slurm.sh
# Slurm sends SIGTERM two minutes before the end of the time, and requeues the job: it then goes on.
#SBATCH --job-name=biva
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=8
#SBATCH --time=24:00:00
#SBATCH --signal=TERM@120
#SBATCH --requeue
set -euo pipefail

model_dir=${MODEL_DIR:?set MODEL_DIR to a folder that all hosts share}
workers=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | sed 's/.*/"&:2222"/' | paste -sd,)
export WORKERS=$workers MODEL_DIR=$model_dir

srun bash -c '
  export TF_CONFIG="{\"cluster\": {\"worker\": [$WORKERS]},
    \"task\": {\"type\": \"worker\", \"index\": $SLURM_PROCID}}"
  exec python -m biva_tf.train --flagfile=configs/celeba64.flags \
    --strategy=multi_worker --model_dir="$MODEL_DIR"
' || [ $? -ne 143 ] || scontrol requeue "$SLURM_JOB_ID"
