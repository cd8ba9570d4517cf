int orfevre_placeholder;
