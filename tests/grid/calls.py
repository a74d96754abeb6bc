"""The provider that is called by gRPC: a server of its own; the scenario comes as a header that its entry adds."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc

from grid.fakes.texts import InferCalls
from grid.features import PLANS, after
from grid.parts import Seen, Wrong, dump
from parley.io.oip_messages import InferRequest, InferResponse

CODES = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    401: grpc.StatusCode.UNAUTHENTICATED,
    404: grpc.StatusCode.NOT_FOUND,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    500: grpc.StatusCode.INTERNAL,
    529: grpc.StatusCode.UNAVAILABLE,
}


class Caught:
    """The server; what it saw goes into the lists it is given."""

    def __init__(self, fake: InferCalls, seen: list[Seen], wrong: list[str]) -> None:
        self.fake, self.seen, self.wrong = fake, seen, wrong
        self.server = grpc.server(ThreadPoolExecutor(2))
        infer = grpc.unary_unary_rpc_method_handler(
            self._infer, InferRequest.FromString, InferResponse.SerializeToString
        )
        named = {"ModelInfer": infer}
        self.server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler("inference.GRPCInferenceService", named),)
        )
        fake.port = self.server.add_insecure_port("127.0.0.1:0")
        self.server.start()

    def close(self) -> None:
        """End it."""
        self.server.stop(None).wait(30)

    def _infer(self, request: Any, context: Any) -> Any:
        scenario = dict(context.invocation_metadata())["x-scenario"]
        (given,) = request.inputs
        data = [text.decode() for text in given.contents.bytes_contents]
        tensor = {"name": given.name, "datatype": given.datatype, "shape": list(given.shape), "data": data}
        try:
            seen = self.fake.read(f"/v2/models/{request.model_name}/infer", {}, dump({"inputs": [tensor]}))
        except Wrong as error:
            self.wrong.append(str(error))
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        self.seen.append(seen)
        kind, _, status = scenario.partition("-")
        if kind == "error":
            context.abort(CODES[int(status)], f"{self.fake.name} says {status}")
        answer = InferResponse(model_name=request.model_name, id=request.id)
        if scenario != "cut-stream":
            output = answer.outputs.add(name="out", datatype="BYTES", shape=[1])
            output.contents.bytes_contents.append(after(PLANS[scenario], seen, self.fake.name).text.encode())
        return answer
