"""Convert a float ONNX file to TFLite with onnx2tf, as ``work/float.tflite``."""

import shutil

import onnx2tf
from golden_job import GoldenJob


def main() -> None:
    """Convert the model of the job."""
    job = GoldenJob.read()
    folder = job.work / "converted"
    onnx2tf.convert(
        input_onnx_file_path=str(job.model), output_folder_path=str(folder), non_verbose=True
    )
    (made,) = folder.glob("*_float32.tflite")
    shutil.copyfile(made, job.work / "float.tflite")


if __name__ == "__main__":
    main()
