"""The built-in chat templates, and the choice between them and the model's own.

Both mark with `{% generation %}` what the assistant says, its end-of-turn token included, so that the loss can be
limited to it. Called by `rendering`, and by the demo, whose base model carries the ChatML template.
"""

from __future__ import annotations

CHATML = """\
{%- for message in messages -%}
{{- '<|im_start|>' + message['role'] + '\\n' -}}
{%- if message['role'] == 'assistant' -%}
{% generation %}{{- message['content'] + '<|im_end|>' -}}{% endgeneration %}
{%- else -%}
{{- message['content'] + '<|im_end|>' -}}
{%- endif -%}
{{- '\\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}{%- endif -%}
"""

ZEPHYR = """\
{%- for message in messages -%}
{{- '<|' + message['role'] + '|>\\n' -}}
{%- if message['role'] == 'assistant' -%}
{% generation %}{{- message['content'] + eos_token -}}{% endgeneration %}
{%- else -%}
{{- message['content'] + eos_token -}}
{%- endif -%}
{{- '\\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|assistant|>\\n' -}}{%- endif -%}
"""
